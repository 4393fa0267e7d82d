"""Ingredients of every step: no setting is forgotten, and data counts by what is in it."""

import dataclasses
import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from quantkit.artifact import Artifact
from quantkit.pipeline.line import Line
from quantkit.pipeline.steps import STEPS
from quantkit.pipeline.work import WorkFolder
from quantkit.recipe import Recipe
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.recipe.fields import mark_of, section_in
from quantkit.recipe.lengths import LengthSettings
from quantkit.recipe.marks import NotInKey
from quantkit.recipe.places import place_fields
from quantkit.recipe.search_settings import SearchSettings
from quantkit.runtime.cpu import cpu_facts
from quantkit.stages.bench import ingredients as bench_ingredients
from quantkit.tasks.data_places import DataPlaces

Location = tuple[str, ...]
KEPT = [step for step in STEPS if not step.every_time]
EVERY_TIME = {step.name for step in STEPS if step.every_time}
# Fields of the recipe that are no section → the steps that they decide.
TOP = {
    "checkpoint": {"search", "distill", "export original"},
    "student": {"distill", "export"},
    "task": {"search", "distill", "export original", "export"},
}


def leaves(model: type[BaseModel], above: Location = ()) -> Iterator[tuple[Location, list[NotInKey]]]:
    """Yield where each setting is, and the marks on the way to it."""
    for name, info in model.model_fields.items():
        mark = mark_of(info, NotInKey)
        marks = [mark] if mark else []
        inner = section_in(info.annotation)
        if inner is None:
            yield (*above, name), marks
        else:
            for location, more in leaves(inner, (*above, name)):
                yield location, [*marks, *more]


SETTINGS = dict(leaves(Recipe))
METRIC = ("evaluate", "metric")
PLACES = [location for location in place_fields(Recipe) if location != METRIC]


def with_other(value: Any, location: Location) -> Any:
    """Return a section, or the first of several, with another value at a place; nothing checks whether it fits."""
    if isinstance(value, tuple) and location:
        return (with_other(value[0], location), *value[1:])
    if location:
        first, *rest = location
        return value.model_copy(update={first: with_other(getattr(value, first), tuple(rest))})
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"another than {value}"


def value_at(recipe: Recipe, location: Location) -> Any:
    value: Any = recipe
    for part in location:
        value = getattr(value, part)
    return value


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Return a recipe that has every section, names data of its own wherever it can, and searches."""
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    student = tmp_path / "student"
    student.mkdir()
    (student / "model.safetensors").write_bytes(b"fewer weights")
    files = {}
    for name in ("calib", "select", "gate", "evaluate", "bench", "learn"):
        files[name] = str(tmp_path / f"{name}.json")
        Path(files[name]).write_text(name)
    return Recipe.model_validate(
        {
            "name": "r",
            "checkpoint": str(checkpoint),
            "student": str(student),
            "search": {
                "float_blocks": True,
                "data": files["learn"],
                "select": files["select"],
                "gate_data": files["gate"],
            },
            "distill": {"data": [files["learn"]], "select": files["select"], "gate_data": files["gate"]},
            "quantize": {
                "mode": "auto",
                "calib": files["calib"],
                "auto": {"select": files["select"], "gate_data": files["gate"]},
                "schemes": [{"pattern": "*"}],
                "keep_float": [{"pattern": "*"}],
            },
            "evaluate": {"data": files["evaluate"]},
            "bench": {"data": files["bench"]},
            "publish": {"name": "r", "version": "1"},
        }
    )


@pytest.fixture
def keys(tmp_path: Path, make_artifact: Callable[..., Artifact]) -> Callable[[Recipe], dict[str, str]]:
    """Return what gives the key of every step that can be kept."""
    artifact = make_artifact(tmp_path / "artifact")

    def keys_of(recipe: Recipe) -> dict[str, str]:
        line = Line(recipe, WorkFolder(tmp_path), DataPlaces())
        made = ("export original", "fuse original", "quantize original", "export", "fuse", "quantize")
        line.made = dict.fromkeys(made, artifact)
        return {step.name: step.ingredients(line).key(step.stage.name) for step in KEPT}

    return keys_of


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def steps_of(location: Location) -> set[str]:
    """Return the steps that a setting decides: those named after its section, and what is as long as the export's."""
    if location[0] in TOP:
        return TOP[location[0]]
    found = {step.name for step in STEPS if step.name.split()[0] == location[0]}
    if location[0] == "export" and location[1] in LengthSettings.model_fields:
        smaller = {"search": SearchSettings, "distill": DistillSettings}
        found |= {name for name, section in smaller.items() if location[1] in section.model_fields}
    return found


def test_the_walk_sees_every_section() -> None:
    """Settings of a search and of single layers are walked too, and each belongs to a step or is marked."""
    assert {
        ("quantize", "auto", "slack"),
        ("quantize", "auto", "min_int8_coverage"),
        ("quantize", "schemes", "block_size"),
        ("bench", "ray_address"),
    } <= set(SETTINGS)
    assert [location for location, marks in SETTINGS.items() if not (marks or steps_of(location))] == []


@pytest.mark.parametrize(
    "location", [place for place in SETTINGS if place not in (*PLACES, METRIC)], ids=".".join
)
def test_another_value_is_another_key(
    recipe: Recipe, keys: Callable[[Recipe], dict[str, str]], location: Location
) -> None:
    """Whoever changes a setting gets what it makes, unless the field says why it makes no difference."""
    found = changed(keys(recipe), keys(with_other(recipe, location)))
    left_out = [mark for mark in SETTINGS[location] if mark.unless is None]
    assert found == (set() if left_out else steps_of(location) - EVERY_TIME)


def test_marks_give_a_reason() -> None:
    """Nobody leaves a setting out without saying why."""
    reasons = [mark.because for marks in SETTINGS.values() for mark in marks]
    assert len(reasons) > 5
    assert all(len(reason.split()) >= 4 for reason in reasons)


@pytest.mark.parametrize("location", PLACES, ids=".".join)
def test_data_counts_by_what_is_in_it(
    recipe: Recipe, keys: Callable[[Recipe], dict[str, str]], location: Location, tmp_path: Path
) -> None:
    """The same bytes under another name change nothing; other bytes under the same name do."""
    before = keys(recipe)
    value = value_at(recipe, location)
    several = isinstance(value, tuple)
    place = Path(value[0] if several else value)
    copy = tmp_path / "copy"
    shutil.copytree(place, copy) if place.is_dir() else shutil.copyfile(place, copy)
    moved = moved_to(recipe, location, (str(copy),) if several else str(copy))
    assert changed(before, keys(moved)) == set()
    (copy / "model.safetensors" if copy.is_dir() else copy).write_bytes(b"other")
    left_out = [mark for mark in SETTINGS[location] if mark.unless is None]
    assert changed(before, keys(moved)) == (set() if left_out else steps_of(location))


def test_an_own_metric_counts_by_its_source(
    recipe: Recipe, keys: Callable[[Recipe], dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that was changed is another metric, under the same name."""
    monkeypatch.chdir(tmp_path)
    Path("scoring.py").write_text("def score(predictions, references): return 1.0\n")
    asked = moved_to(recipe, METRIC, "scoring:score")
    before = keys(asked)
    assert changed(keys(recipe), before) == steps_of(METRIC)
    Path("scoring.py").write_text("def score(predictions, references): return 0.5\n")
    assert changed(before, keys(asked)) == steps_of(METRIC)


def moved_to(section: Any, location: Location, place: Any) -> Any:
    first, *rest = location
    value = moved_to(getattr(section, first), tuple(rest), place) if rest else place
    return section.model_copy(update={first: value})


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_only_a_search_is_made_of_its_settings(
    recipe: Recipe, keys: Callable[[Recipe], dict[str, str]], mode: str
) -> None:
    """Without a search neither its settings nor its data count, and data that is nowhere is not looked for."""
    quantize = recipe.quantize.model_copy(update={"mode": mode})
    plain = recipe.model_copy(update={"quantize": quantize})
    other = with_other(with_other(plain, ("quantize", "auto", "slack")), ("quantize", "auto", "select"))
    assert changed(keys(plain), keys(other)) == set()


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        (
            {"instruction_sets": ("neon",)},
            {
                "search",
                "distill",
                "quantize",
                "evaluate baseline",
                "quantize original",
                "evaluate student",
                "evaluate original int8",
                "evaluate candidate",
                "inspect original",
                "inspect student",
                "inspect",
                "bench",
            },
        ),
        ({"cores": 1000}, {"bench"}),
    ],
)
def test_the_processor_counts_where_it_matters(
    recipe: Recipe,
    keys: Callable[[Recipe], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    again: set[str],
) -> None:
    """Other kernels make other numbers; the number of cores is only measured."""
    before = keys(recipe)
    other = dataclasses.replace(cpu_facts(), **changes)
    for name in (
        "pipeline.searching",
        "stages.distill.distill",
        "stages.quantize.ingredients",
        "stages.evaluate",
        "stages.inspect",
        "stages.bench.ingredients",
    ):
        module = importlib.import_module(f"quantkit.{name}")
        monkeypatch.setattr(module, "cpu_facts", lambda: other)
    assert changed(before, keys(recipe)) == again


def test_a_tuned_bench_is_made_of_the_profiles(
    make_artifact: Callable[..., Artifact], recipe: Recipe, tmp_path: Path
) -> None:
    """An artifact that was tuned again is measured again, where its profile is what it is measured with."""
    artifact = make_artifact(tmp_path / "tuned")
    assert recipe.bench is not None
    for profile, differs in (("tuned", True), ("fixed", False)):
        settings = recipe.bench.model_copy(update={"profile": profile})
        artifact.write_report("runtime.json", {"instances": 1})
        before = bench_ingredients((artifact,), settings, DataPlaces())
        artifact.write_report("runtime.json", {"instances": 2})
        after = bench_ingredients((artifact,), settings, DataPlaces())
        assert (before != after) is differs
