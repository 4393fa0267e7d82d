"""Damage per group of layers: bars in graph order, or a map of encoder layer by kind when there are many."""

from collections.abc import Sequence
from typing import Any

from quantkit.records.sensitivity import Sensitivity
from quantkit.report.figures.drawing import (
    BLUE,
    GRID,
    MUTED,
    ON_DARK,
    ON_PALE,
    drawing,
    new_figure,
    png_bytes,
    words,
)
from quantkit.report.groups import Place, is_map, places

MAX_BARS = 40
# Largest over median damage from which a linear scale shows most groups as nothing.
LOG_FROM = 20
_DECADES = 4  # of a logarithmic scale; what is smaller stands at its left end


def sensitivity_png(report: Sensitivity) -> bytes:
    """Return every group's damage and the share of answers it changed, drawn, as the content of a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return png_bytes(draw(report))


def draw(report: Sensitivity) -> Any:
    """Return the matplotlib figure."""
    named = places(report.groups)
    if len(named) > MAX_BARS and is_map(named):
        return _heat_map(report, named)
    return _bars(report, named)


def _bars(report: Sensitivity, named: Sequence[Place]) -> Any:
    figure = new_figure(1.2 + 0.19 * len(named))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    rows = range(len(named))
    _damages(left, [group.damage for group in report.groups])
    changed = [100 * group.changed for group in report.groups]
    right.barh(rows, changed, height=0.62, color=MUTED)
    right.set_xlim(0, 1.05 * max(*changed, 0.1))
    right.locator_params(axis="x", nbins=4)
    left.set_title("damage, nats", pad=6)
    right.set_title("questions changed, %", pad=6, loc="right")
    left.set_yticks(rows, [words(place.kind) for place in named])
    left.set_ylim(len(named) - 0.4, -0.6)
    for axes in (left, right):
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    _number_layers(figure, left, right, named)
    _caption(figure, report)
    return figure


def _damages(axes: Any, damages: Sequence[float]) -> None:
    """Draw bars from zero, or points where only a logarithm shows them all (a bar would have no origin there)."""
    largest, rows = max(damages), range(len(damages))
    if largest <= LOG_FROM * sorted(damages)[len(damages) // 2]:
        axes.barh(rows, damages, height=0.62, color=BLUE)
        axes.set_xlim(0, 1.05 * largest or 1)
        axes.locator_params(axis="x", nbins=5)
        axes.ticklabel_format(axis="x", scilimits=(-3, 4), useMathText=True)
        return
    least = max(largest / 10**_DECADES, min(damage for damage in damages if damage > 0))
    axes.set_xscale("log")
    axes.set_xlim(least / 1.6, largest * 1.6)
    axes.minorticks_off()
    shown = [max(damage, least / 1.6) for damage in damages]
    axes.hlines(rows, least / 1.6, shown, color=BLUE, linewidth=0.8)
    axes.plot(shown, rows, "o", color=BLUE, markersize=5.5, clip_on=False)


def _number_layers(figure: Any, left: Any, right: Any, named: Sequence[Place]) -> None:
    """Write each encoder layer's number once, left of its groups, with a line above it."""
    starts = [row for row, place in enumerate(named) if row == 0 or place.layer != named[row - 1].layer]
    figure.draw_without_rendering()
    widths = [label.get_window_extent().width for label in left.get_yticklabels()]
    away = -(max(widths) * 72 / figure.dpi + 14)
    for row in starts:
        if row > 0:
            for axes in (left, right):
                axes.axhline(row - 0.5, color=GRID, linewidth=0.8, zorder=0)
        layer = named[row].layer
        if layer is not None:
            left.annotate(
                f"layer {layer}" if row == starts[0] else str(layer),
                (0, row),
                (away, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="center_baseline",
                fontsize=9,
                weight="bold",
            )


def _heat_map(report: Sensitivity, named: Sequence[Place]) -> Any:
    inside = [
        (place, group) for place, group in zip(named, report.groups, strict=True) if place.layer is not None
    ]
    outside = [
        (place, group) for place, group in zip(named, report.groups, strict=True) if place.layer is None
    ]
    layers = sorted({place.layer for place, _ in inside if place.layer is not None})
    kinds = list(dict.fromkeys(place.kind for place, _ in inside))
    figure = new_figure(1.5 + 0.2 * len(layers))
    left, right = figure.subplots(1, 2, sharey=True)
    cells = {(place.layer, place.kind): group for place, group in inside}
    rows = [[cells.get((layer, kind)) for kind in kinds] for layer in layers]
    unit, word = _unit(max(group.damage for group in report.groups))
    _map(left, [[None if cell is None else cell.damage / unit for cell in row] for row in rows], "Blues")
    _map(right, [[None if cell is None else 100 * cell.changed for cell in row] for row in rows], "Greys")
    left.set_title(f"damage, {word}", pad=6)
    right.set_title("questions changed, %", pad=6)
    for axes in (left, right):
        axes.set_xticks(
            [x + 0.5 for x in range(len(kinds))],
            [words(kind) for kind in kinds],
            fontsize=8,
            rotation=30,
            ha="right",
            rotation_mode="anchor",
        )
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    left.set_yticks([y + 0.5 for y in range(len(layers))], [str(layer) for layer in layers], fontsize=8)
    left.set_ylabel("encoder layer", fontsize=9)
    left.set_ylim(len(layers), 0)
    others = [
        f"{words(place.kind)} {group.damage / unit:.2g} ({100 * group.changed:.1f} %)"
        for place, group in outside
    ]
    _caption(figure, report, others)
    return figure


def _map(axes: Any, rows: Sequence[Sequence[float | None]], colors: str) -> None:
    """Draw cells with their numbers; the darker the more."""
    import matplotlib
    from matplotlib.colors import PowerNorm

    values = [[float("nan") if value is None else value for value in row] for row in rows]
    largest = max((value for row in rows for value in row if value is not None), default=0) or 1
    # The square root keeps the small ones apart without hiding how far the large ones are.
    norm = PowerNorm(0.5, vmin=0, vmax=1.15 * largest)
    palette = matplotlib.colormaps[colors]
    axes.pcolormesh(values, cmap=palette, norm=norm, edgecolor="face", linewidth=0.3)
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            if value is not None:
                color = ON_DARK if float(norm(value)) > 0.55 else ON_PALE
                axes.text(
                    x + 0.5,
                    y + 0.5,
                    "0" if value == 0 else f"{value:.2f}"[:4].rstrip("."),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color=color,
                )


def _unit(largest: float) -> tuple[float, str]:
    """Return the unit in which the largest damage has at most three digits before the point, and its name."""
    for power in range(0, 10, 3):
        if largest >= 10.0**-power:
            break
    return 10.0**-power, "nats" if power == 0 else f"$10^{{-{power}}}$ nats"


def _caption(figure: Any, report: Sensitivity, more: Sequence[str] = ()) -> None:
    parts = [f"{words(report.choice)}, one group at a time, {report.questions:,} questions", *more]
    figure.supxlabel(" · ".join(parts), fontsize=8, color=MUTED, x=0.01, ha="left")
