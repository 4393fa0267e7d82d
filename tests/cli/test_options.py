"""Options of settings: made from the models, and back to a section of the recipe."""

from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from quantkit.cli import options
from quantkit.cli.options import generate
from quantkit.cli.options.from_models import SECTIONS, options_of
from quantkit.cli.options.given import Given
from quantkit.cli.options.option import Option
from quantkit.cli.options.table import OPTIONS
from quantkit.errors import UsageError
from quantkit.mlperf.settings import MlperfSettings
from quantkit.recipe import FuseSettings, QuantizeSettings, Recipe
from quantkit.recipe.fields import Cli, mark_of, section_in
from quantkit.recipe.settings import EvaluateSettings, KeepFloat, TuneSettings
from quantkit.tables import ENGINES, RANGE_METHODS

WITH_DEFAULT = [
    (model, option)
    for model in SECTIONS
    for option in OPTIONS[model.__name__]
    if option.default and not option.many
]


def given(section: str, *arguments: str) -> Given:
    """Return what a command with the options of a section gets."""
    found: list[Given] = []

    @click.command()
    @options.settings(section)
    def command(*, given: Given) -> None:
        found.append(given)

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return found[0]


def fields(model: type[BaseModel], above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], FieldInfo]]:
    """Return every field that a value can be said for, those of sections inside it too."""
    found: list[tuple[tuple[str, ...], FieldInfo]] = []
    for name, info in model.model_fields.items():
        inner = section_in(info.annotation)
        if inner is None or inner is KeepFloat or mark_of(info, Cli):
            found.append(((*above, name), info))
        elif inner not in SECTIONS:
            found += fields(inner, (*above, name))
    return found


@pytest.mark.parametrize("name", generate.FILES)
def test_what_is_made_is_fresh(name: str) -> None:
    """The table of options, their docs and the schema are what the models say."""
    expected = generate.FILES[name]()
    assert (generate.ROOT / name).read_text(encoding="utf-8") == expected, (
        f"{name} is not up to date; run {generate.COMMAND}, or python -m quantkit.cli.options.generate"
    )


@pytest.mark.parametrize("model", SECTIONS)
def test_every_field_is_an_option_or_says_why_not(model: type[BaseModel]) -> None:
    """A field of a section can be said on the command line unless its mark says that only a file can."""
    expected = [path for path, info in fields(model) if (mark_of(info, Cli) or Cli()).option]
    assert [option.path for option in OPTIONS[model.__name__]] == expected


@pytest.mark.parametrize(
    ("model", "option"),
    WITH_DEFAULT,
    ids=[f"{model.__name__}-{said.names[0]}" for model, said in WITH_DEFAULT],
)
def test_default_in_help_is_what_happens_without(model: type[BaseModel], option: Option) -> None:
    """Saying the default that help names is saying nothing."""
    required = [text for other in OPTIONS[model.__name__] if other.required for text in (other.names[0], "x")]
    said = [f"--{option.default}"] if option.kind == "switch" else [option.names[0], option.default]
    values = given(model.__name__, *required, *said).said[model.__name__]
    section: Any = model
    for part in option.path[:-1]:
        section = section_in(section.model_fields[part].annotation)
    default = section.model_fields[option.path[-1]].default
    assert values.get(option.path, default) == default


def test_choices_come_from_the_table() -> None:
    """What a table holds can be chosen; a field may allow a part of it."""
    choices = {(section, option.path): option.choices for section in OPTIONS for option in OPTIONS[section]}
    assert choices["QuantizeSettings", ("calib_method",)] == tuple(RANGE_METHODS)
    assert choices["EvaluateSettings", ("engine",)] == tuple(ENGINES)
    assert choices["QuantizeSettings", ("engine",)] == ("threads", "ray")


def test_names_within_a_command_differ() -> None:
    """No two options of a section collect into the same parameter."""
    for section, found in OPTIONS.items():
        names = [option.parameter for option in found]
        assert sorted(set(names)) == sorted(names), section


def test_nothing_said_is_the_default_section() -> None:
    """A section built of no options is the section itself, with no field set."""
    built = given("EvaluateSettings").build(EvaluateSettings)
    assert (built, built.model_fields_set) == (EvaluateSettings(), set())


def test_marks_become_values() -> None:
    """Flags that mean false, entries of a list, one word for all, other words, and sections inside."""
    assert given("FuseSettings", "--no-fuse").build(FuseSettings) == FuseSettings(enabled=False)
    assert given("Recipe", "--task", "question-answering").one(Recipe, "task") == "squad"
    assert given("MlperfSettings", "--mode", "accuracy").build(MlperfSettings).modes == ("accuracy",)
    assert given("MlperfSettings", "--mode", "both").build(MlperfSettings) == MlperfSettings()
    engines = given("TuneSettings", "--engines", "processes").build(TuneSettings).engines
    assert engines == ("processes",)
    built = given("QuantizeSettings", "--nodes-to-exclude", "a", "--target", "0.9", "--smooth-quant", "0.5")
    settings = built.build(QuantizeSettings, under={"auto": {"budget": 3.0, "target": 0.8}})
    assert settings.keep_float == (KeepFloat(pattern="a", because="asked for on the command line"),)
    assert (settings.auto.target, settings.auto.budget, settings.smooth_quant) == (0.9, 3.0, 0.5)
    assert built.options(QuantizeSettings, "auto") == ["--target"]


@pytest.mark.parametrize(
    ("model", "arguments", "line"),
    [
        (QuantizeSettings, ("--confidence", "1"), "--confidence: should be less than 1"),
        (QuantizeSettings, ("--keep-float", ""), "--keep-float: String should have at least 1"),
        (MlperfSettings, ("--target-latency", "0"), "--target-latency: should be greater"),
    ],
)
def test_mistakes_are_told_by_their_option(
    model: type[BaseModel], arguments: tuple[str, ...], line: str
) -> None:
    """A value that does not fit is named as it was said, whatever the field is called and wherever it is."""
    with pytest.raises(UsageError) as raised:
        given(model.__name__, *arguments).build(model)
    assert str(raised.value).startswith(line)


def test_field_of_a_new_kind_is_seen() -> None:
    """The table is made of the models alone: a field more is an option more."""

    class More(EvaluateSettings):
        loud: bool = False

    assert [option.names for option in options_of(More)][-1] == ("--loud", "--no-loud")
