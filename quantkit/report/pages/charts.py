"""Geometry of the two charts of a comparison's page; the template draws it, so every text in it is escaped there.

Both are 400 units wide, which is a phone's width: their text can be read there without zooming.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from quantkit.records.comparison import Comparison, Entry
from quantkit.report.digits import rate, score, times

WIDTH = 400
BAR = 26
_GAP, _HEAD, _GROUP = 7, 21, 18
_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 44, 14, 16, 40, 290
_LONGEST = 24
_LETTER = 6.7  # width of a letter of the labels, roughly


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One artifact's bar."""

    precision: Literal["fp32", "int8"]
    name: str
    full: str
    y: float
    width: float
    label: str
    gain: str
    inside: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class BarGroup:
    """A model: its FP32 artifact and the INT8 ones made of it."""

    name: str
    y: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BarChart:
    """Throughput, one group of bars per model."""

    height: float
    groups: tuple[BarGroup, ...]
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One artifact at its throughput and score; `x0`, `y0` is its FP32."""

    precision: Literal["fp32", "int8"]
    x: float
    y: float
    label: str
    full: str
    label_x: float
    label_y: float
    anchor: Literal["start", "middle", "end"]
    origin: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scatter:
    """Score against throughput."""

    height: int
    left: int
    right: int
    top: int
    bottom: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    target: Tick | None
    points: tuple[Point, ...]
    words: str


def bar_chart(report: Comparison) -> BarChart | None:
    """Return the bars of every artifact with a throughput, FP32 first; None when there are none."""
    measured = [entry for entry in report.entries if entry.throughput is not None]
    if not measured:
        return None
    most = max(entry.throughput or 0 for entry in measured)
    y, groups = 0.0, []
    for name, members in _models(measured):
        start, bars = y, []
        y += _HEAD
        for entry in members:
            assert entry.throughput is not None
            width = max(2.0, (WIDTH - 2) * entry.throughput / most)
            gain = next((one for one in entry.gains if one.throughput is not None), None)
            text = f"{shortened(entry.name)} {rate(entry.throughput)} 0.00 x"
            bars.append(
                Bar(
                    precision=entry.precision,
                    name=shortened(entry.name),
                    full=entry.name,
                    y=y,
                    width=round(width, 1),
                    label=rate(entry.throughput),
                    gain="" if gain is None else times(gain.throughput),
                    inside=width > _LETTER * len(text) + 20,
                )
            )
            y += BAR + _GAP
        groups.append(BarGroup(name=name, y=start, bars=tuple(bars)))
        y += _GROUP
    words = "; ".join(f"{entry.name} {rate(entry.throughput)}" for entry in measured)
    return BarChart(height=y - _GROUP, groups=tuple(groups), words=f"Throughput: {words}")


def _models(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    """Return entries by model: each FP32 with the INT8 ones paired with it, then INT8 ones without."""
    found: dict[str, list[Entry]] = {}
    names: dict[str, str] = {}
    for entry in entries:
        key = entry.reference or entry.artifact
        found.setdefault(key, []).append(entry)
        if entry.artifact == key or key not in names:
            names[key] = entry.checkpoint or entry.name
    return [
        (names[key], sorted(group, key=lambda entry: entry.precision != "fp32"))
        for key, group in found.items()
    ]


def scatter(report: Comparison) -> Scatter | None:
    """Return score against throughput of the artifacts that have both; None when fewer than two have."""
    shown = [entry for entry in report.entries if entry.score is not None and entry.throughput is not None]
    if len(shown) < 2:
        return None
    target = _target(report, shown)
    scores = [entry.score or 0 for entry in shown] + ([] if target is None else [target[0]])
    x_ticks = ticks(0, max(entry.throughput or 0 for entry in shown) * 1.06, 5)
    low, high = min(scores), max(scores)
    margin = max(0.12 * (high - low), 0.02)
    y_ticks = ticks(low - margin, high + 1.6 * margin, 5)
    x_end, (y_start, y_end) = x_ticks[-1], (y_ticks[0], y_ticks[-1])

    def across(value: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * value / x_end, 1)

    def up(value: float) -> float:
        share = (value - y_start) / (y_end - y_start)
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share, 1)

    places = {entry.artifact: (across(entry.throughput or 0), up(entry.score or 0)) for entry in shown}
    digits = max(0, min(4, -math.floor(math.log10(y_ticks[1] - y_ticks[0]))))
    return Scatter(
        height=_HEIGHT,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        x_ticks=tuple(Tick(at=across(value), label=f"{value:,g}") for value in x_ticks),
        y_ticks=tuple(Tick(at=up(value), label=f"{value:.{digits}f}") for value in y_ticks),
        target=None if target is None else Tick(at=up(target[0]), label=target[1]),
        points=_labelled(shown, places, None if target is None else up(target[0])),
        words="; ".join(f"{entry.name}: {score(entry.score)} at {rate(entry.throughput)}" for entry in shown),
    )


def shortened(name: str) -> str:
    """Return a name that fits into a chart."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _target(report: Comparison, shown: Sequence[Entry]) -> tuple[float, str] | None:
    """Return the score the gate asked for, when all gates asked for the same of the same baseline."""
    dataset = report.scores.dataset if report.scores else ""
    asked = {
        (entry.gate.min_ratio * (entry.gate.reference_f1 or entry.gate.baseline_f1), entry.gate.min_ratio)
        for entry in shown
        if entry.gate is not None and entry.gate.dataset == dataset
    }
    if len(asked) != 1:
        return None
    value, ratio = asked.pop()
    return value, f"gate: {100 * ratio:g} % of FP32"


def _labelled(
    shown: Sequence[Entry], places: dict[str, tuple[float, float]], line: float | None
) -> tuple[Point, ...]:
    """Put each point's name where it covers neither another point nor another name."""
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in places.values()]
    if line is not None:
        taken.append((_LEFT, line - 17, _LEFT + 22 * _LETTER, line + 2))
    points = []
    for entry in shown:
        x, y = places[entry.artifact]
        label_x, label_y, anchor, box = _place(x, y, _LETTER * len(shortened(entry.name)), taken)
        taken.append(box)
        points.append(
            Point(
                precision=entry.precision,
                x=x,
                y=y,
                label=shortened(entry.name),
                full=f"{entry.name}: {score(entry.score)} at {rate(entry.throughput)}",
                label_x=label_x,
                label_y=label_y,
                anchor=anchor,
                origin=places.get(entry.reference) if entry.reference else None,
            )
        )
    return tuple(points)


_Box = tuple[float, float, float, float]
_Anchor = Literal["start", "middle", "end"]


def _place(x: float, y: float, width: float, taken: Sequence[_Box]) -> tuple[float, float, _Anchor, _Box]:
    options: list[tuple[float, float, _Anchor]] = []
    for step in (0, 15, 30, 45):
        options += [
            (x + 10, y + 4 + step, "start"),
            (x - 10, y + 4 + step, "end"),
            (x, y - 11 - step, "middle"),
        ]
        options += [
            (x + 10, y + 4 - step, "start"),
            (x - 10, y + 4 - step, "end"),
            (x, y + 20 + step, "middle"),
        ]
    best = options[0]
    for option in options:
        left, _, right, _ = box = _around(*option, width)
        clash = any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken)
        if left >= _LEFT and right <= WIDTH and not clash and box[1] >= 0 and box[3] <= _HEIGHT - _BOTTOM:
            best = option
            break
    return (*best, _around(*best, width))


def _around(x: float, y: float, anchor: _Anchor, width: float) -> _Box:
    left = {"start": x, "end": x - width, "middle": x - width / 2}[anchor]
    return left, y - 11, left + width, y + 3


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round numbers that reach from below `low` to above `high`."""
    raw = (high - low) / count or 1
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]
