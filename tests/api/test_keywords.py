"""The keywords that editors and type checkers know are the settings, and no parameter has one of their names."""

import inspect
from pathlib import Path
from typing import Any, get_args

import pytest

import quantkit
from quantkit.api import running
from quantkit.cli.options.keywords import FUNCTIONS
from quantkit.errors import RecipeError, UsageError

NAMES = {"import": "import_"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_keywords_are_settings(function: str) -> None:
    """A function's keywords are fields of its sections; those it needs are those without a default."""
    made: Any = getattr(quantkit, NAMES.get(function, function))
    parameters = inspect.signature(made).parameters
    (keywords,) = get_args(parameters["settings"].annotation)
    fields = {
        name: info
        for model, only in FUNCTIONS[function]
        for name, info in model.model_fields.items()
        if name in only or not only
    }
    assert set(keywords.__annotations__) == set(fields)
    assert keywords.__required_keys__ == {name for name, info in fields.items() if info.is_required()}
    assert set(parameters).isdisjoint(fields)


def test_paths_are_text_wherever_they_stand(tmp_path: Path) -> None:
    """A path in a list or in a section inside is read as its text, and so is only missing."""
    with pytest.raises(UsageError, match=r"quantkit\.distill: learning_rat: unknown key"):
        quantkit.distill("a", tmp_path / "b", teacher="c", data=[tmp_path], learning_rat=1)
    with pytest.raises(UsageError, match=r"quantkit\.search: steps: unknown key"):
        quantkit.search("quickstart", tmp_path / "b", data=tmp_path, steps=1)


def test_run_changes_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes win over the recipe, the folder is named after it, and one that does not fit is told."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr(running, "run_recipe", lambda recipe, **how: seen.update(how, recipe=recipe))
    quantkit.run("quickstart", changes={"quantize.mode": "dynamic", "evaluate.data": tmp_path / "own.json"})
    recipe = seen["recipe"]
    assert (recipe.quantize.mode, recipe.evaluate.data) == ("dynamic", str(tmp_path / "own.json"))
    assert (seen["work"], seen["data_dir"]) == (Path("runs/quickstart"), None)
    with pytest.raises(RecipeError, match=r"quantize\.mdoe"):
        quantkit.run("quickstart", changes={"quantize.mdoe": "dynamic"})
