"""Places of a recipe: which fields name them, and a recipe that tells nothing of this machine."""

from pathlib import Path

from quantkit.recipe import BenchSettings, EvaluateSettings, QuantizeSettings, Recipe
from quantkit.recipe.places import place_fields, resolve_places, with_value, without_places
from quantkit.recipe.settings import AutoSettings


def test_fields_that_name_places() -> None:
    """The checkpoint, everything that may be a file of questions, and a file with a function."""
    assert place_fields(Recipe) == {
        ("checkpoint",): "checkpoint",
        ("student",): "checkpoint",
        ("search", "data"): "calibration set",
        ("search", "select"): "calibration set",
        ("search", "gate_data"): "dataset",
        ("distill", "data"): "dataset",
        ("distill", "select"): "calibration set",
        ("distill", "gate_data"): "dataset",
        ("quantize", "calib"): "calibration set",
        ("quantize", "auto", "select"): "calibration set",
        ("quantize", "auto", "gate_data"): "dataset",
        ("evaluate", "data"): "dataset",
        ("evaluate", "metric"): "code",
        ("bench", "data"): "dataset",
    }


def test_what_lies_beside_the_recipe_is_found(tmp_path: Path) -> None:
    """Folders for a checkpoint, files for data; names and wrong values stay, and the input is left alone."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "quickstart").mkdir()
    (tmp_path / "q.json").touch()
    values = {
        "checkpoint": "mine",
        "distill": {"data": ["q.json", "squad-train"]},
        "quantize": {"calib": "q.json", "auto": 3},
        "evaluate": {"data": "mine"},
    }
    assert resolve_places(values, tmp_path) == {
        "distill": {"data": [str(tmp_path / "q.json"), "squad-train"]},
        "checkpoint": str(tmp_path / "mine"),
        "quantize": {"calib": str(tmp_path / "q.json"), "auto": 3},
        "evaluate": {"data": "mine"},
    }
    assert values["checkpoint"] == "mine"
    assert resolve_places({"checkpoint": "quickstart"}, tmp_path) == {"checkpoint": "quickstart"}


def test_published_recipe_has_no_places(tmp_path: Path) -> None:
    """Of what is on this machine only the name stays; names of datasets and Hugging Face ids stay whole."""
    data = tmp_path / "q.json"
    data.touch()
    recipe = Recipe(
        name="a",
        checkpoint=str(tmp_path),
        quantize=QuantizeSettings(calib=str(data), auto=AutoSettings(select=str(data), gate_data="squad")),
        evaluate=EvaluateSettings(data=str(data)),
        bench=BenchSettings(data=str(data)),
    )
    expected = Recipe(
        name="a",
        checkpoint=tmp_path.name,
        quantize=QuantizeSettings(calib="q.json", auto=AutoSettings(select="q.json", gate_data="squad")),
        evaluate=EvaluateSettings(data="q.json"),
        bench=BenchSettings(data="q.json"),
    )
    assert without_places(recipe) == expected
    away = Recipe(name="a", checkpoint="org/model", quantize=QuantizeSettings(calib="squad"))
    assert without_places(away) == away


def test_value_is_put_in_its_place() -> None:
    """Sections on the way are made, or replaced when they are none."""
    assert with_value({"a": 1}, ("a", "b"), 2) == {"a": {"b": 2}}
    assert with_value({"a": {"c": 1}}, ("a", "b"), 2) == {"a": {"c": 1, "b": 2}}


def test_a_function_beside_the_recipe_is_found(tmp_path: Path) -> None:
    """A module beside the recipe becomes a path, and of a published recipe only its name stays; others are names."""
    (tmp_path / "mine.py").touch()
    values = {"name": "a", "checkpoint": "org/model", "quantize": {"mode": "dynamic"}}
    for named, place in (
        ("mine:score", f"{tmp_path / 'mine.py'}:score"),
        ("mine.py:score", f"{tmp_path / 'mine.py'}:score"),
        ("other:score", "other:score"),
        ("mine", "mine"),
    ):
        found = resolve_places({**values, "evaluate": {"metric": named}}, tmp_path)
        assert found["evaluate"]["metric"] == place
    recipe = Recipe.model_validate({**values, "evaluate": {"metric": f"{tmp_path / 'mine.py'}:score"}})
    assert without_places(recipe).evaluate.metric == "mine.py:score"
