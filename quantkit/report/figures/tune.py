"""What `tune` saw as a heat map: instances x threads by token budget, one map for each runtime."""

from typing import Any

from quantkit.records.tune import TuneReport
from quantkit.report.figures.drawing import ACCENT, MUTED, ON_DARK, ON_PALE, drawing, new_figure, png_bytes
from quantkit.report.profiles import profile_text, shape_text, tuned_map, tuned_runtimes


def tune_png(report: TuneReport) -> bytes:
    """Return the heat map as the content of a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return png_bytes(draw(report))


def draw(report: TuneReport) -> Any:
    """Return the matplotlib figure."""
    found = {runtime: tuned_map(report, runtime) for runtime in tuned_runtimes(report)}
    maps = {runtime: cells for runtime, cells in found.items() if cells}
    values = [ratio for cells in maps.values() for ratio in cells.values()]
    rows = sum(len({shape for shape, _ in cells}) for cells in maps.values())
    figure = new_figure(1.1 + 0.65 * len(maps) + 0.34 * rows)
    parts = figure.subplots(max(1, len(maps)), 1, squeeze=False)[:, 0]
    for axes, (runtime, cells) in zip(parts, maps.items(), strict=False):
        _map(axes, report, runtime, cells, (min(values), max(values)))
    bound = "" if report.latency_bound_ms is None else f" within {report.latency_bound_ms:g} ms (p99)"
    gain = f"{report.ratio:.2f} x the default" if report.sure else "the default: nothing was surely faster"
    lines = (
        f"{report.scenario}{bound}, relative to {profile_text(report.reference)}",
        f"chosen: {profile_text(report.chosen)}; {gain}",
    )
    figure.supxlabel("\n".join(lines), fontsize=7, color=MUTED, x=0.01, ha="left")
    return figure


def _map(
    axes: Any,
    report: TuneReport,
    runtime: str,
    cells: dict[tuple[str, int], float],
    limits: tuple[float, float],
) -> None:
    """Draw one runtime's cells with their numbers, the darker the faster; the chosen one has a frame."""
    import matplotlib
    from matplotlib.colors import Normalize

    shapes = list(dict.fromkeys(shape for shape, _ in cells))
    budgets = sorted({budget for _, budget in cells})
    low, high = limits
    norm = Normalize(low - 0.15 * (high - low or 1), high)
    colours = [[cells.get((shape, budget), float("nan")) for budget in budgets] for shape in shapes]
    axes.pcolormesh(colours, cmap=matplotlib.colormaps["Blues"], norm=norm, edgecolor="face", linewidth=0.3)
    chosen = (shape_text(report.chosen), report.chosen["token_budget"], report.chosen["runtime"])
    for y, shape in enumerate(shapes):
        for x, budget in enumerate(budgets):
            if (shape, budget) not in cells:
                continue
            ratio = cells[shape, budget]
            color = ON_DARK if float(norm(ratio)) > 0.6 else ON_PALE
            axes.text(x + 0.5, y + 0.5, f"{ratio:.2f}", ha="center", va="center", fontsize=8, color=color)
            if (shape, budget, runtime) == chosen:
                frame = matplotlib.patches.Rectangle((x, y), 1, 1, fill=False, edgecolor=ACCENT, linewidth=2)
                axes.add_patch(frame)
    axes.set_xticks([x + 0.5 for x in range(len(budgets))], [f"{budget:,}" for budget in budgets])
    axes.set_yticks([y + 0.5 for y in range(len(shapes))], shapes)
    axes.set_ylim(len(shapes), 0)
    axes.set_title(f"{runtime}: instances x threads by tokens per batch", pad=6)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
