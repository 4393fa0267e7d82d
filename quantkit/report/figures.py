"""Figures of a search and of a sensitivity analysis. They need the extra `report`."""

from pathlib import Path

from quantkit.report.drawing import drawing, svg_text, write_png
from quantkit.report.pareto_figure import draw as draw_pareto
from quantkit.report.search import SearchReport
from quantkit.report.sensitivity import Sensitivity
from quantkit.report.sensitivity_figure import draw as draw_sensitivity


def pareto(report: SearchReport, path: Path) -> None:
    """Draw score against throughput for every candidate, into a PNG.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: `path` cannot be written.
    """
    with drawing():
        write_png(draw_pareto(report), path)


def pareto_svg(report: SearchReport) -> str:
    """Return the same picture as one `<svg>` element for a page that has the colours of `drawing.THEME`.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return svg_text(draw_pareto(report), "pareto")


def sensitivity(report: Sensitivity, path: Path) -> None:
    """Draw every group's damage and the share of answers it changed, into a PNG.

    Raises:
        UsageError: matplotlib is not installed.
        OutputError: `path` cannot be written.
    """
    with drawing():
        write_png(draw_sensitivity(report), path)
