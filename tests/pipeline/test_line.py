"""Line: what a recipe that searches is run with."""

from pathlib import Path
from typing import Any

import pytest

from quantkit.pipeline.line import Line
from quantkit.pipeline.work import WorkFolder
from quantkit.recipe.settings import Recipe
from quantkit.tasks.data_places import DataPlaces


@pytest.fixture
def line(tmp_path: Path):
    """Return what makes the line of a recipe with these settings of quantize."""

    def make(**quantize: Any) -> Line:
        recipe = Recipe.model_validate(
            {"name": "r", "checkpoint": "c", "quantize": quantize, "evaluate": {"data": "judged.json"}}
        )
        return Line(recipe, WorkFolder(tmp_path), DataPlaces())

    return make


def test_search_knows_what_the_gate_judges_by(line) -> None:
    """A search in a run keeps off the questions that the same run is judged on."""
    settings = line(mode="auto", calib="c.json").quantize_settings
    assert settings.auto.gate_data == "judged.json"


def test_other_gate_data_stays(line) -> None:
    """Who names the gate's questions is believed."""
    settings = line(mode="auto", calib="c.json", auto={"gate_data": "other.json"}).quantize_settings
    assert settings.auto.gate_data == "other.json"


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_without_a_search_nothing_is_added(line, mode: str) -> None:
    """Other modes are quantized with the section as it stands."""
    made = line(mode=mode, calib="c.json")
    assert made.recipe.quantize == made.quantize_settings


@pytest.mark.parametrize(
    ("own", "lengths"),
    [({}, (128, 32, 128)), ({"max_length": 96}, (96, 32, 96)), ({"max_length": None}, (128, 32, 128))],
    ids=["left open", "its own", "null"],
)
def test_search_and_distillation_have_the_lengths_of_the_export(
    tmp_path: Path, own: dict[str, Any], lengths: tuple[int, int, int]
) -> None:
    """What is exported at 128 tokens is searched and trained at 128, unless its section says otherwise."""
    recipe = Recipe.model_validate(
        {
            **{"name": "r", "checkpoint": "c", "quantize": {"mode": "static", "calib": "c.json"}},
            "export": {"max_length": 128, "doc_stride": 32},
            "search": {"data": "s.json", "min_throughput": "1.5x", **own},
            "distill": {"data": ["s.json"], **own},
        }
    )
    line = Line(recipe, WorkFolder(tmp_path), DataPlaces())
    search, distill = line.search_settings, line.distill_settings
    assert (search.max_length, search.doc_stride, distill.max_length) == lengths
    assert (search.gate_data, distill.gate_data) == ("squad", "squad")
