"""The picture of a search for shapes: the same bytes for the same report, and every number where it belongs."""

import xml.etree.ElementTree as ET

import pytest

from quantkit.report.figures.drawing import THEME
from quantkit.report.figures.shapes import draw, shapes_png, shapes_svg

pytestmark = pytest.mark.usefixtures("matplotlib")


def marks(figure, marker: str) -> set[tuple[float, float]]:
    """Return where marks of a kind stand."""
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == marker]
    return {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines}


def widths(axes) -> list[float]:
    """Return the lengths of bars, the teacher's first."""
    return [float(bar.get_width()) for bar in axes.patches]


def test_same_bytes(shape_search) -> None:
    """A figure depends on the report alone, not on a style of the user's."""
    import matplotlib as mpl

    first = shapes_png(shape_search)
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30}):
        second = shapes_png(shape_search)
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert first == second


def test_candidates_have_their_places(shape_search) -> None:
    """Each stands where it was measured and where it was predicted; baselines have marks of their own."""
    figure = draw(shape_search)
    foretold = {(1.8, 0.01 + 0.1), (2.0, 0.01 + 0.15)}
    assert marks(figure, "D") == {(1.0, 0.01)}
    assert marks(figure, "o") == {(1.8, 0.2), (2.0, 0.3)} | foretold
    assert marks(figure, "s") == {(1.95, 0.5), (1.95, 0.26)}


def test_frontier_joins_what_no_other_beats(shape_search) -> None:
    """The line has the front, the slowest first."""
    line = draw(shape_search).axes[0].get_lines()[0]
    assert list(zip(line.get_xdata(), line.get_ydata(), strict=True)) == [(1.0, 0.01), (1.8, 0.2), (2.0, 0.3)]


def test_bars_are_the_layers(shape_search) -> None:
    """The teacher's bars stand behind those of the chosen candidate, layer by layer from the top."""
    _, heads, networks = draw(shape_search).axes
    assert widths(heads) == [12, 12, 12, 9, 0, 6]
    assert widths(networks) == [3072, 3072, 3072, 2304, 1536, 0]
    assert heads.yaxis_inverted()


def test_a_divergence_of_nothing_is_drawn(shape_search) -> None:
    """A candidate that answers as the teacher does has a place on the logarithmic axis."""
    same = shape_search.candidates[1].model_copy(update={"divergence": 0.0})
    others = (shape_search.candidates[0], same, *shape_search.candidates[2:])
    places = marks(draw(shape_search.model_copy(update={"candidates": others})), "o")
    assert (1.8, 1e-7) in places


def test_svg_has_the_colours_of_the_page(shape_search) -> None:
    """It is one element, and all colours are variables."""
    text = shapes_svg(shape_search)
    assert ET.fromstring(text).tag.endswith("svg")
    assert [color for color in THEME if color in text] == []


def test_blocks_in_float_are_dark(shape_search) -> None:
    """In the bars of the chosen one, and in the key; without any the key has no such word."""
    candidates = [
        one.model_copy(update={"float_blocks": ("layer.2.attention",)}) if one.number == 2 else one
        for one in shape_search.candidates
    ]
    mixed = draw(shape_search.model_copy(update={"candidates": tuple(candidates)}))
    plain = draw(shape_search)

    def colors(figure, place: int) -> list[tuple[float, ...]]:
        return [bar.get_facecolor() for bar in figure.axes[place].patches[3:]]

    usual = colors(plain, 1)[0]
    assert [color == usual for color in colors(mixed, 1)] == [True, True, False]
    assert colors(mixed, 2) == colors(plain, 2)
    said = [{text.get_text() for text in figure.legends[0].get_texts()} for figure in (mixed, plain)]
    assert said[0] - said[1] == {"kept, in float"}
