"""Keys that had another name: the old one is read, with a warning that says where it stands and what to write."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from quantkit.errors import RecipeError
from quantkit.recipe import QuantizeSettings, Recipe, load_recipe
from quantkit.recipe.fields import Was, mark_of, section_in
from quantkit.recipe.load import load_section, parse_overrides
from quantkit.recipe.new_names import with_new_names
from quantkit.recipe.settings import SensitivitySettings
from quantkit.recipe.strict_yaml import parse_yaml

OLD = """name: tiny
checkpoint: c
quantize:
  mode: auto
  calib: squad
  calib_samples: 7
  auto:
    select_samples: 9
"""


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def old_keys(model: type[BaseModel], above: str = "") -> list[tuple[str, str]]:
    """Return the old name and today's of every field that had another one, with dots."""
    found = []
    for name, info in model.model_fields.items():
        was, inner = mark_of(info, Was), section_in(info.annotation)
        found += [(above + was.key, above + name)] if was else []
        found += old_keys(inner, f"{above}{name}.") if inner else []
    return found


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return a recipe with the keys of the release before."""
    path = tmp_path / "old.yaml"
    path.write_text(OLD)
    return path


def test_an_old_recipe_is_read(old: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Old keys mean what today's do; each is told of in a line with file, line, old key and new one."""
    recipe = load_recipe(old)
    assert (recipe.quantize.calib_questions, recipe.quantize.auto.select_questions) == (7, 9)
    assert messages(caplog) == [
        f"{old}:6: quantize.calib_samples: is called calib_questions now; write that",
        f"{old}:8: quantize.auto.select_samples: is called select_questions now; write that",
    ]


def test_a_section_alone_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A section of a recipe, and the same section as a file of its own, are read alike."""
    recipe, alone = tmp_path / "recipe.yaml", tmp_path / "alone.yaml"
    recipe.write_text("quantize: {calib_samples: 7, auto: {select_samples: 9}}\n")
    alone.write_text("calib_samples: 7\nauto:\n  select_samples: 9\n")
    expected = {"calib_questions": 7, "auto": {"select_questions": 9}}
    assert load_section(recipe, "quantize", QuantizeSettings) == expected
    assert load_section(alone, "quantize", QuantizeSettings) == expected
    assert [text.split(":")[1] for text in messages(caplog)] == ["1", "1", "1", "3"]


@pytest.mark.parametrize(
    ("assignment", "expected", "names"),
    [
        ("quantize.calib_samples=5", (5, 9), ["--set quantize.calib_samples"]),
        ("quantize.auto.select_samples=5", (7, 5), ["--set quantize.auto.select_samples"]),
        ("quantize.auto={select_samples: 5}", (7, 5), ["--set quantize.auto.select_samples"]),
        ("quantize.calib_questions=5", (5, 9), []),
    ],
)
def test_an_override_wins_under_either_name(
    old: Path,
    caplog: pytest.LogCaptureFixture,
    assignment: str,
    expected: tuple[int, int],
    names: list[str],
) -> None:
    """`--set` with either name wins over the file with either."""
    recipe = load_recipe(old, parse_overrides((assignment,)))
    assert (recipe.quantize.calib_questions, recipe.quantize.auto.select_questions) == expected
    assert [text.rsplit(": is called", 1)[0] for text in messages(caplog)[2:]] == names


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            OLD + "  calib_questions: 8\n",
            ":6: quantize.calib_samples: is the old name of calib_questions, given",
        ),
        (OLD.replace("7", "1.5"), ":6: quantize.calib_questions: expected a whole number, got 1.5"),
        (OLD + "  calib_sample: 8\n", ":9: quantize.calib_sample: unknown key"),
    ],
)
def test_strict_as_ever(tmp_path: Path, text: str, line: str) -> None:
    """Both names, a wrong value and a wrong key are errors with the line that they stand in."""
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=re.escape(f"{path}{line}")):
        load_recipe(path)


@pytest.mark.parametrize(
    ("model", "old_key", "new_key"),
    [(model, *keys) for model in (Recipe, SensitivitySettings) for keys in old_keys(model)],
)
def test_every_old_key_is_read(
    model: type[BaseModel], old_key: str, new_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever field had another name, its value arrives under today's, and a warning says so."""

    def nested(dotted: str) -> Any:
        value: Any = 3
        for part in reversed(dotted.split(".")):
            value = {part: value}
        return value

    document = parse_yaml(str(nested(old_key)), "x.yaml")
    assert with_new_names(document, model, Path("x.yaml")).value == nested(new_key)
    assert messages(caplog) == [
        f"x.yaml:1: {old_key}: is called {new_key.rsplit('.', maxsplit=1)[-1]} now; write that"
    ]
