"""Score against throughput: the same bytes for the same report, and every number where it belongs."""

import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import UsageError
from quantkit.report.figures import pareto_png, pareto_svg
from quantkit.report.figures.drawing import THEME
from quantkit.report.figures.pareto import draw, frontier

PNG = b"\x89PNG\r\n\x1a\n"


def marks(figure, marker: str) -> list[tuple[float, float]]:
    """Return where marks of a kind stand."""
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == marker]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines]


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("options", [{}, {"met": False, "outlier": True, "task": "text-classification"}])
def test_same_bytes(make_search, options: dict) -> None:
    """A figure depends on the report alone: no dates, and no style of the user's."""
    import matplotlib as mpl

    report = make_search(**options)
    first = pareto_png(report)
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        second = pareto_png(report)
    assert first[:8] == PNG
    assert first == second


@pytest.mark.usefixtures("matplotlib")
def test_every_candidate_has_its_place(make_search) -> None:
    """A candidate stands at its throughput and ratio; one that collapsed stands at the edge, and FP32 at (1, 100)."""
    report = make_search(outlier=True)
    figure = draw(report)
    places = {(found.throughput, 100 * found.ratio) for found in report.candidates if found.ratio > 0.9}
    assert set(marks(figure, "o")) == places
    assert [speed for speed, _ in marks(figure, "v")] == [report.candidates[0].throughput]
    assert marks(figure, "D") == [(1.0, 100.0)]


@pytest.mark.usefixtures("matplotlib")
def test_one_candidate_is_drawn(make_search) -> None:
    """A search that stopped at its first candidate has a picture, also where that is as slow as FP32."""
    report = make_search()
    same = {"throughput": 1.0, "throughput_spread": (1.0, 1.0), "ratio": 1.0, "expected_ratio_low": 1.0}
    alone = report.candidates[4].model_copy(update={**same, "expected_ratio": 1.0})
    figure = draw(report.model_copy(update={"candidates": (alone,), "target": 1.0}))
    said = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert marks(figure, "o") == [(1.0, 100.0)]
    assert "chosen\n1.00 \N{MULTIPLICATION SIGN}, 100.000 %" in said
    left, right = figure.axes[0].get_xlim()
    low, high = figure.axes[0].get_ylim()
    assert left < 1.0 < right
    assert low < 100.0 < high


@pytest.mark.usefixtures("matplotlib")
def test_svg_has_the_colors_of_its_page(make_search) -> None:
    """In a page the picture is XML of its own ids, and every colour of the theme is a variable."""
    svg = pareto_svg(make_search())
    assert svg == pareto_svg(make_search())
    root = ET.fromstring(svg)
    assert set(root.attrib) - {"version"} == {"viewBox", "aria-hidden"}
    ids = {element.get("id") for element in root.iter()} - {None}
    assert all(name.startswith("pareto-") for name in ids)
    assert [color for color in THEME if color in svg] == []
    assert "var(--accent)" in svg


def test_missing_matplotlib_is_one_line(make_search, monkeypatch) -> None:
    """The extra to install is named."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.style", raising=False)
    with pytest.raises(UsageError, match=r'a figure needs matplotlib.*pip install "quantkit\[report\]"'):
        pareto_png(make_search())


@settings(max_examples=60)
@given(
    speeds=st.lists(st.floats(0.2, 4), min_size=1, max_size=9),
    ratios=st.lists(st.floats(0, 1.01), min_size=9, max_size=9),
)
def test_frontier_is_what_nothing_beats(speeds: list[float], ratios: list[float]) -> None:
    """Every point of the frontier is beaten by no other in both, and every other point is."""
    points = {(1.0, 1.0), *zip(speeds, ratios, strict=False)}
    best = frontier(points)

    def beaten(point: tuple[float, float]) -> bool:
        return any(other != point and other[0] >= point[0] and other[1] >= point[1] for other in points)

    assert sorted(point for point in points if not beaten(point)) == best
