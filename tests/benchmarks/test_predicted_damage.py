"""Predicted damage beside what was measured, from invented searches."""

import re
from typing import Any

import pytest
from scripts import load_script

from quantkit.errors import UsageError
from quantkit.records import ShapeSearch
from quantkit.report.figures.drawing import ACCENT, BLUE, INK

script = load_script("benchmarks/predicted_damage.py")


def with_shapes(report: ShapeSearch, *found: tuple[int, str, float, float]) -> ShapeSearch:
    """Return a report of shapes by heads, origin, predicted damage and divergence; F1 falls as divergence grows."""
    first = report.candidates[0]
    return report.model_copy(
        update={
            "candidates": tuple(
                first.model_copy(
                    update={
                        "heads": (heads,),
                        "origin": origin,
                        "predicted_damage": damage,
                        "divergence": divergence,
                        "expected_ratio": 1 - divergence,
                        "ratio": 1 - divergence,
                    }
                )
                for heads, origin, damage, divergence in found
            )
        }
    )


def test_every_shape_once_and_in_order(shape_search: Any) -> None:
    """What two searches built alike counts once; the teacher and what was cut by magnitude have no prediction."""
    one = with_shapes(
        shape_search,
        (12, "teacher", 0.0, 0.0),
        (4, "solution 1 of round 1", 0.5, 0.4),
        (4, "uniform by magnitude", 0.5, 3.0),
    )
    other = with_shapes(shape_search, (8, "uniform", 0.1, 0.1), (4, "solution 1 of round 1", 0.5, 0.4))
    shapes = script.built([one, other])
    assert [shape.heads for shape in shapes] == [(8,), (4,)]
    assert script.correlations(shapes) == pytest.approx(
        {"divergence": 1.0, "expected F1": 1.0, "F1": 1.0}, abs=1e-12
    )
    assert "| 4 |" in script.markdown(shapes, script.correlations(shapes))


def test_figure(shape_search: Any) -> None:
    """Every shape has the mark of its kind beside the key's, and the same shapes give the same bytes."""
    kinds = (
        (4, "solution 1 of round 1", 0.5, 0.4),
        (3, "solution 2 of round 1", 0.6, 0.5),
        (8, "uniform", 0.1, 0.1),
        (2, "without the last layers", 4.0, 3.0),
    )
    shapes = script.built([with_shapes(shape_search, *kinds)])
    drawn = script.figure_svg(shapes)
    assert drawn == script.figure_svg(shapes)
    uses = {color: len(re.findall(rf"<use [^>]*fill: {color}", drawn)) for color in (ACCENT, BLUE, INK)}
    assert uses == {ACCENT: 1 + 2, BLUE: 1 + 1, INK: 1 + 1}


def test_predictions_that_order_the_other_way(shape_search: Any) -> None:
    """Where the shape that was predicted worst is the best, the correlation says so."""
    shapes = script.built(
        [with_shapes(shape_search, (1, "a", 0.3, 0.1), (2, "b", 0.2, 0.2), (3, "c", 0.1, 0.3))]
    )
    assert script.correlations(shapes)["divergence"] == pytest.approx(-1.0, abs=1e-12)


def test_searches_on_other_questions(shape_search: Any) -> None:
    """Searches on different selections are not put together."""
    other = shape_search.model_copy(update={"selection_digest": "0" * 64})
    with pytest.raises(UsageError, match="not of one teacher on the same questions"):
        script.built([shape_search, other])
