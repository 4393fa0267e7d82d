"""Figures of a search and of a sensitivity analysis. They need the extra `report`."""

from pathlib import Path

from quantkit.files import write_bytes
from quantkit.records.search import SearchReport
from quantkit.records.sensitivity import Sensitivity
from quantkit.report.drawing import drawing, png_bytes, svg_text
from quantkit.report.pareto_figure import draw as draw_pareto
from quantkit.report.sensitivity_figure import draw as draw_sensitivity


def pareto_png(report: SearchReport) -> bytes:
    """Return score against throughput for every candidate, drawn, as the content of a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return png_bytes(draw_pareto(report))


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
    write_bytes(path, sensitivity_png(report))


def sensitivity_png(report: Sensitivity) -> bytes:
    """Return the same picture as the content of a PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    with drawing():
        return png_bytes(draw_sensitivity(report))
