"""Score against throughput: every candidate of a search, the FP32 model, the target, and the frontier."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from quantkit.records.search import CandidateRecord, SearchReport
from quantkit.report.digits import TIMES, kept
from quantkit.report.figures.drawing import (
    ACCENT,
    BLUE,
    INK,
    MUTED,
    PAPER,
    SOFT,
    drawing,
    new_figure,
    png_bytes,
    svg_text,
)
from quantkit.report.groups import score_name

# A candidate keeps its place down to so many times the loss that the target allows; one below stands at the
# edge with its number. Otherwise one collapsed candidate would press all the others onto the target's line.
DEPTH = 14
_SIZE = 7.0
_ALIGN = {(True, False): "left", (False, True): "right", (False, False): "center"}
_VALIGN = {(True, False): "bottom", (False, True): "top", (False, False): "center"}
# Where a text may stand beside its point: how many points away, in which directions.
_NEAR, _FAR = (5, 10, 17), (6, 11, 20, 32, 46, 62, 80, 100)
_SIDES = ((1, 0.8), (-1, 0.8), (1, -0.8), (-1, -0.8), (0, 1.4), (0, -1.4), (-1.6, -0.4), (1.6, 0.4))
_LEADER = 20  # from so many points on, a line leads to the point


def pareto_png(report: SearchReport) -> bytes:
    """Return score against throughput for every candidate, drawn, as the content of a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return png_bytes(draw(report))


def pareto_svg(report: SearchReport) -> str:
    """Return the same picture as one `<svg>` element for a page that has the colours of `drawing.THEME`.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return svg_text(draw(report), "pareto")


def frontier(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return of points (throughput, ratio) those that no other beats in both, the slowest first."""
    best: list[tuple[float, float]] = []
    for speed, ratio in sorted(set(points), reverse=True):
        if not best or ratio > best[-1][1]:
            best.append((speed, ratio))
    return best[::-1]


def draw(report: SearchReport) -> Any:
    """Return the matplotlib figure."""
    figure = new_figure(4.3)
    axes = figure.add_subplot()
    floor = _floor(report)
    _frame(axes, report, floor)
    _lines(axes, report, floor)
    for candidate in report.candidates:
        _candidate(axes, candidate, report, floor)
    axes.plot(1, 100, "D", color=INK, markersize=_SIZE, zorder=5, clip_on=False)
    _texts(figure, axes, report, floor)
    _key(figure, report)
    return figure


def _floor(report: SearchReport) -> float:
    """Return the lowest score ratio that is drawn to scale, in percent."""
    allowed = max(1 - report.target, 0.0005)
    deepest = min(report.target - DEPTH * allowed, _chosen(report).ratio)
    near = [found for found in report.candidates if found.ratio >= deepest]
    lowest = min(min(found.ratio, found.expected_ratio_low) for found in near)
    if len(near) < len(report.candidates):
        lowest -= 0.15 * (max(1, report.target) - lowest)
    return 100 * max(lowest, deepest - allowed)


def _chosen(report: SearchReport) -> CandidateRecord:
    return next(found for found in report.candidates if found.number == report.chosen)


def _frame(axes: Any, report: SearchReport, floor: float) -> None:
    speeds = [1.0, *(found.throughput_spread[1] for found in report.candidates)]
    slow = min(1.0, *(found.throughput_spread[0] for found in report.candidates))
    top = 100 * max(1, report.target, *(found.ratio for found in report.candidates))
    wide, high = max(speeds) - slow or 1, top - floor or 1
    axes.set_xlim(slow - 0.06 * wide, max(speeds) + 0.08 * wide)
    axes.set_ylim(floor - 0.08 * high, top + 0.1 * high)
    axes.set_xlabel(f"throughput, {TIMES} FP32")
    axes.set_title(f"{score_name(report.task)}, % of FP32", pad=8)
    axes.grid(axis="y")
    axes.locator_params(axis="y", nbins=7)
    axes.ticklabel_format(axis="y", useOffset=False)


def _lines(axes: Any, report: SearchReport, floor: float) -> None:
    axes.axhline(100 * report.target, color=INK, linewidth=1, dashes=(5, 3), zorder=2)
    best = frontier([(1.0, 1.0), *((found.throughput, found.ratio) for found in report.candidates)])
    speeds, ratios = [speed for speed, _ in best], [max(100 * ratio, floor - 1) for _, ratio in best]
    axes.step(speeds, ratios, where="pre", color=SOFT, linewidth=1.2, zorder=1)


def _candidate(axes: Any, found: CandidateRecord, report: SearchReport, floor: float) -> None:
    chosen = found.number == report.chosen
    color = ACCENT if chosen else BLUE
    speed, height = _at(found, floor)
    beyond = 100 * found.ratio < floor
    axes.plot(found.throughput_spread, (height, height), color=color, linewidth=1.2, zorder=3)
    if not beyond:
        low, middle = 100 * found.expected_ratio_low, 100 * found.expected_ratio
        axes.plot((speed, speed), (low, middle), color=color, linewidth=0.9, zorder=3)
        axes.plot(speed, middle, "_", color=color, markersize=5, markeredgewidth=1.2, zorder=3)
    axes.plot(
        speed,
        height,
        "v" if beyond else "o",
        color=color,
        markersize=_SIZE + 2 * chosen,
        markerfacecolor=color if found.passed else PAPER,
        markeredgewidth=1.4,
        zorder=6 if chosen else 4,
    )


def _texts(figure: Any, axes: Any, report: SearchReport, floor: float) -> None:
    """Label FP32, the target and the chosen candidate, and number the others where there is room."""
    figure.draw_without_rendering()
    taken = [box for found in report.candidates for box in _boxes(axes, found, floor)]
    target = 100 * report.target
    line = _box(axes, *((edge, target) for edge in axes.get_xlim()), size=1)
    pen = _Pen(axes=axes, taken=[*taken, line, _box(axes, (1, 100))])
    pen.write("FP32", (1, 100), color=INK, reach=_FAR)
    chosen = _chosen(report)
    word = "chosen" if report.met else "best found"
    text = f"{word}\n{chosen.throughput:.2f} {TIMES}, {kept(chosen.ratio)}"
    pen.write(text, _at(chosen, floor), color=ACCENT, weight="bold", reach=_FAR)
    for edge in axes.get_xlim()[::-1]:
        if pen.write(f"target {target:g} %", (edge, target), color=INK, size=9):
            break
    for found in report.candidates:
        if found is not chosen:
            beyond = f": {100 * found.ratio:.1f} %" if 100 * found.ratio < floor else ""
            pen.write(f"{found.number}{beyond}", _at(found, floor), color=MUTED, size=8)


@dataclass(kw_only=True, slots=True)
class _Pen:
    """Writes beside points where nothing stands yet; `taken` are the boxes of what does, in pixels."""

    axes: Any
    taken: list[Any]

    def write(
        self,
        text: str,
        point: tuple[float, float],
        *,
        color: str,
        size: float = 10,
        weight: str = "normal",
        reach: Sequence[int] = _NEAR,
    ) -> bool:
        """Write `text` at the nearest free place beside `point`; where none within `reach` is free, return False."""
        from matplotlib.patheffects import withStroke

        inside = self.axes.get_window_extent()
        line = {"arrowstyle": "-", "color": color, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 4}
        for distance, (across, up) in product(reach, _SIDES):
            at = (across * distance, up * distance)
            align = {"ha": _ALIGN[across > 0, across < 0], "va": _VALIGN[up > 0, up < 0]}
            look: dict[str, Any] = {"color": color, "fontsize": size, "weight": weight, "zorder": 7, **align}
            note = self.axes.annotate(text, point, at, textcoords="offset points", **look)
            box = note.get_window_extent()
            fits = inside.x0 - 2 <= box.x0 and box.x1 <= inside.x1 + 2 and inside.y0 <= box.y0
            if not fits or any(box.overlaps(other) for other in self.taken):
                note.remove()
                continue
            self.taken.append(box)
            note.set_path_effects([withStroke(linewidth=2, foreground=PAPER)])
            if distance >= _LEADER:
                self.axes.annotate("", point, at, textcoords="offset points", arrowprops=line, zorder=5)
            return True
        return False


def _at(found: CandidateRecord, floor: float) -> tuple[float, float]:
    return found.throughput, max(100 * found.ratio, floor)


def _box(axes: Any, *points: tuple[float, float], size: float = _SIZE) -> Any:
    """Return the box around markers at `points`, in pixels."""
    from matplotlib.transforms import Bbox

    places = axes.transData.transform(points)
    return Bbox([places.min(axis=0), places.max(axis=0)]).padded(0.5 * size * axes.figure.dpi / 72)


def _boxes(axes: Any, found: CandidateRecord, floor: float) -> list[Any]:
    """Return the boxes of a candidate's marker and of its bars, in pixels."""
    speed, height = _at(found, floor)
    slow, fast = found.throughput_spread
    low, middle = (max(100 * ratio, floor) for ratio in (found.expected_ratio_low, found.expected_ratio))
    return [
        _box(axes, (speed, height)),
        _box(axes, (slow, height), (fast, height), size=1.5),
        _box(axes, (speed, low), (speed, middle), size=2.5),
    ]


def _key(figure: Any, report: SearchReport) -> None:
    """Say below the axes what the marks mean."""
    from matplotlib.lines import Line2D
    from matplotlib.path import Path

    lower_bar = Path([(-0.4, 0.5), (0.4, 0.5), (0, 0.5), (0, -0.5)], [Path.MOVETO, Path.LINETO] * 2)
    upright: dict[str, Any] = {"marker": lower_bar, "linestyle": "none", "color": BLUE, "markersize": 9}
    point: dict[str, Any] = {
        "marker": "o",
        "linestyle": "none",
        "color": BLUE,
        "markersize": _SIZE,
        "markeredgewidth": 1.4,
    }
    lower = f"expected score and its {100 * report.confidence:g} % lower bound"
    marks = [
        (Line2D([], [], **point), "meets the target"),
        (Line2D([], [], **point, markerfacecolor=PAPER), "misses it"),
        (Line2D([], [], color=SOFT, linewidth=1.2), "Pareto frontier"),
        (Line2D([], [], color=BLUE, linewidth=1.2), "slowest to fastest pass"),
        (Line2D([], [], **upright, markeredgewidth=1.2), lower),
    ]
    figure.legend(
        [mark for mark, _ in marks],
        [text for _, text in marks],
        loc="outside lower left",
        ncols=2,
        frameon=False,
        fontsize=8,
        handlelength=1.6,
        columnspacing=1.6,
        labelspacing=0.35,
        borderpad=0.2,
    )
