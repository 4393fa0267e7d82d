"""The charts' geometry: nothing leaves the picture, and bars are as long as their numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.report.pages.charts import WIDTH, bar_chart, scatter, ticks


def test_bars_are_proportional_and_grouped(make_comparison) -> None:
    """One group per model, FP32 first; a bar's length is its throughput."""
    chart = bar_chart(make_comparison())
    assert chart is not None
    assert [[bar.name for bar in group.bars] for group in chart.groups] == [
        ["large", "large-int8"],
        ["small", "small-int8"],
    ]
    widths = [bar.width for group in chart.groups for bar in group.bars]
    assert widths == pytest.approx([share * 398 / 116 for share in (12, 18, 76, 116)], abs=0.06)


def test_points_are_inside_and_the_gate_is_drawn(make_comparison) -> None:
    """Every point lies within the axes, FP32 leads to its INT8, and the gate's line is where its score is."""
    plot = scatter(make_comparison())
    assert plot is not None
    assert all(
        plot.left <= point.x <= plot.right and plot.top <= point.y <= plot.bottom for point in plot.points
    )
    assert [
        None if point.origin is None else [(each.x, each.y) for each in plot.points].index(point.origin)
        for point in plot.points
    ] == [None, 0, None, 2]
    assert plot.target is not None
    assert plot.target.label == "gate: 99.9 % of FP32"


def test_nothing_to_draw(make_comparison) -> None:
    """Without throughput there is no chart."""
    assert bar_chart(make_comparison(measured=False)) is None
    assert scatter(make_comparison(measured=False)) is None


def test_long_names_are_shortened(make_comparison) -> None:
    """A name of any length stays within the picture."""
    chart = bar_chart(make_comparison("x" * 200))
    assert chart is not None
    assert len(chart.groups[1].bars[1].name) == 24
    assert len(chart.groups[1].bars[1].full) == 200
    assert chart.groups[1].bars[1].width <= WIDTH


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_enclose_the_range(low: float, width: float) -> None:
    """The first is at or below the least value, the last at or above the greatest, in few even steps."""
    found = ticks(low, low + width, 5)
    assert found[0] <= low + 1e-6 * width
    assert found[-1] >= low + width - 1e-6 * width - 1e-9
    assert 2 <= len(found) <= 9
