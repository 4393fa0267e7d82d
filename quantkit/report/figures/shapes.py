"""Shapes: every candidate of a search by speed and by nearness to the teacher, and the layers of the chosen one."""

from collections.abc import Sequence
from typing import Any

from quantkit.records import ShapeCandidate, ShapeSearch
from quantkit.records.shapes import MAGNITUDE, SHALLOW, UNHEALED, UNIFORM
from quantkit.report.digits import TIMES
from quantkit.report.figures.drawing import (
    ACCENT,
    BLUE,
    GRID,
    INK,
    PAPER,
    SOFT,
    drawing,
    new_figure,
    png_bytes,
    svg_text,
)

_SIZE = 7.0
_FRONT, _LAYER, _REST = 3.5, 0.17, 1.6  # inches: candidates, one layer's bars, and what stands around both
_LEAST = 1e-7
MARKS = {UNIFORM: "s", SHALLOW: "^", MAGNITUDE: "X"}
"""Where a candidate comes from → its mark; those of the search are circles, and the teacher is a diamond."""


def shapes_png(report: ShapeSearch) -> bytes:
    """Return the picture as the content of a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return png_bytes(draw(report))


def shapes_svg(report: ShapeSearch) -> str:
    """Return the picture as one `<svg>` element for a page that has the colours of `drawing.THEME`.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return svg_text(draw(report), "shapes")


def draw(report: ShapeSearch) -> Any:
    """Return the matplotlib figure."""
    chosen = next(one for one in report.candidates if one.number == report.chosen)
    teacher = report.candidates[0]
    layers = len(teacher.heads)
    figure = new_figure(_FRONT + _REST + layers * _LAYER)
    figure.get_layout_engine().set(hspace=0.08)
    grid = figure.add_gridspec(2, 2, height_ratios=(_FRONT, 0.6 + layers * _LAYER))
    _front(figure, figure.add_subplot(grid[0, :]), report, chosen)
    heads = figure.add_subplot(grid[1, 0])
    widths = figure.add_subplot(grid[1, 1])
    _layers(heads, teacher.heads, chosen.heads, "heads by layer", _colors(chosen, "attention"))
    _layers(
        widths,
        teacher.feed_forward,
        chosen.feed_forward,
        "feed-forward width",
        _colors(chosen, "feed_forward"),
    )
    heads.set_ylabel("layer")
    return figure


def foretold(report: ShapeSearch, one: ShapeCandidate) -> tuple[float, float]:
    """Return throughput over the INT8 teacher's and divergence in nats of a candidate, as predicted."""
    return (
        report.candidates[0].predicted_cost_us / one.predicted_cost_us,
        max(report.teacher_divergence + one.predicted_damage, _LEAST),
    )


def measured(one: ShapeCandidate) -> tuple[float, float]:
    """Return throughput over the INT8 teacher's and divergence in nats of a candidate, as measured."""
    return one.throughput, max(one.divergence, _LEAST)


def _front(figure: Any, axes: Any, report: ShapeSearch, chosen: ShapeCandidate) -> None:
    axes.set_yscale("log")
    axes.set_xlabel(f"throughput, {TIMES} the INT8 teacher")
    axes.set_title("nats from the teacher's answers (lower is nearer)", pad=8)
    axes.grid(axis="y")
    axes.margins(0.08, 0.12)
    best = sorted(measured(one) for one in report.candidates if one.front)
    axes.step(*zip(*best, strict=True), where="pre", color=SOFT, linewidth=1.2, zorder=1)
    for one in report.candidates:
        color = ACCENT if one is chosen else INK if one.number == 0 else BLUE
        mark = "D" if one.number == 0 else MARKS.get(one.origin, "o")
        if one.number and one.origin not in UNHEALED:  # whose damage nothing predicts
            here, there = foretold(report, one), measured(one)
            axes.plot(*zip(here, there, strict=True), color=color, linewidth=0.7, alpha=0.6, zorder=2)
            look = {"color": color, "markerfacecolor": PAPER, "markersize": 0.6 * _SIZE, "zorder": 3}
            axes.plot(*here, mark, **look)
        axes.plot(*measured(one), mark, color=color, markersize=_SIZE, zorder=5 if one is chosen else 4)
    _key(figure, report)


def _colors(chosen: ShapeCandidate, kind: str) -> list[str]:
    """Return the colour of each layer's bar: blocks that stay float are dark."""
    slots = [f"layer.{layer}.{kind}" for layer in range(len(chosen.heads))]
    return [INK if slot in chosen.float_blocks else ACCENT for slot in slots]


def _layers(axes: Any, whole: Sequence[int], left: Sequence[int], title: str, colors: Sequence[str]) -> None:
    places = range(len(whole))
    axes.barh(places, whole, height=0.72, color=GRID, zorder=1)
    axes.barh(places, left, height=0.72, color=colors, zorder=2)
    axes.set_ylim(len(whole) - 0.4, -0.6)
    axes.set_yticks(list(places), [str(place) for place in places], fontsize=7 if len(whole) > 12 else 8)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4, integer=True)
    axes.set_title(title, pad=6)


def _in_float(report: ShapeSearch) -> bool:
    return any(one.float_blocks for one in report.candidates if one.number == report.chosen)


def _key(figure: Any, report: ShapeSearch) -> None:
    """Say below the axes what the marks mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    def mark(shape: str, color: str, **look: Any) -> Line2D:
        return Line2D([], [], marker=shape, linestyle="none", color=color, **{"markersize": _SIZE, **look})

    origins = {one.origin for one in report.candidates}
    marks: list[tuple[Any, str]] = [
        (mark("o", ACCENT), "chosen"),
        (mark("o", BLUE), "candidate"),
        (mark("o", BLUE, markerfacecolor=PAPER, markersize=0.6 * _SIZE), "as predicted"),
        (mark("D", INK), "teacher, INT8"),
        *((mark(shape, BLUE), origin) for origin, shape in MARKS.items() if origin in origins),
        (Line2D([], [], color=SOFT, linewidth=1.2), "Pareto frontier"),
        (Patch(color=ACCENT), "kept"),
        *([(Patch(color=INK), "kept, in float")] if _in_float(report) else []),
        (Patch(color=GRID), "of the teacher's"),
    ]
    figure.legend(
        [one for one, _ in marks],
        [text for _, text in marks],
        loc="outside lower left",
        ncols=3,
        frameon=False,
        fontsize=8,
        handlelength=1.4,
        columnspacing=1.2,
        labelspacing=0.35,
        borderpad=0.2,
    )
