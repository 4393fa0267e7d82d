"""Throughput as bars: for each model its FP32 and its INT8 artifact side by side, as in a submission's figure."""

from collections.abc import Sequence
from typing import Any

from quantkit.records.bench import BenchReport, BenchResult
from quantkit.report.digits import TIMES
from quantkit.report.figures.drawing import ACCENT, BLUE, MUTED, SOFT, drawing, new_figure, png_bytes, words

_COLORS = {"fp32": BLUE, "int8": ACCENT, None: SOFT}
_NAMES = {"fp32": "FP32", "int8": "INT8", None: "unknown"}
_BAR = 0.8  # of the room an artifact has
_GAP = 0.7  # between two models


def bench_png(report: BenchReport) -> bytes:
    """Return throughput per artifact, drawn, as the content of a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return png_bytes(draw(report))


def models(results: Sequence[BenchResult]) -> list[list[BenchResult]]:
    """Return the results grouped by model: an artifact stands with the one it was made from."""
    groups: dict[str, list[BenchResult]] = {}
    family: dict[str, str] = {}
    for result in results:
        first = family.get(result.parent or "", result.artifact)
        family[result.artifact] = first
        groups.setdefault(first, []).append(result)
    return list(groups.values())


def draw(report: BenchReport) -> Any:
    """Return the matplotlib figure."""
    figure = new_figure(3.4)
    axes = figure.add_subplot()
    place, ticks, seen = 0.0, list[tuple[float, str]](), dict[str | None, Any]()
    for group in models(report.results):
        for result in group:
            bar = axes.bar(place, result.qps, width=_BAR, color=_COLORS[result.precision])
            seen.setdefault(result.precision, bar)
            if result.rates:
                axes.vlines(place, min(result.rates), max(result.rates), color=MUTED, linewidth=1)
            axes.annotate(
                _label(result),
                (place, max((result.qps, *result.rates))),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
            ticks.append((place, result.name))
            place += 1
        place += _GAP
    names = [words(name if len(name) <= 18 else f"{name[:17]}…") for _, name in ticks]
    slanted: dict[str, Any] = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if place > 4 else {}
    axes.set_xticks([x for x, _ in ticks], names, **slanted)
    axes.set_title("questions per second" if report.scenario == "server" else "windows per second", pad=14)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08, y=0.12)
    if len(seen) > 1:
        figure.legend(
            list(seen.values()),
            [_NAMES[precision] for precision in seen],
            loc="outside upper right",
            ncols=len(seen),
            frameon=False,
            fontsize=9,
        )
    figure.supxlabel(_caption(report), fontsize=8, color=MUTED, x=0.01, ha="left")
    return figure


def _label(result: BenchResult) -> str:
    ratio = "" if result.ratio in (None, 1.0) else f"\n{result.ratio:.2f} {TIMES}"
    return f"{result.qps:,.4g}{ratio}"


def _caption(report: BenchReport) -> str:
    cpu = f"{report.cpu['model']}, " if report.cpu.get("model") else ""
    bound = f" within {report.latency_bound_ms:g} ms (p99)" if report.latency_bound_ms is not None else ""
    said = f"{report.scenario}{bound}: {cpu}{report.threads} threads, median of {report.repeats} rounds"
    return said + (f"; {report.verdict}" if report.verdict != "measured" else "")
