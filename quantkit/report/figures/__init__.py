"""Pictures of records: `<what>_png` is the content of a file, `pareto_svg` an element of a page.

How they look stands in `drawing`. They need matplotlib, the extra `report`.
"""

from quantkit.report.figures.bench import bench_png
from quantkit.report.figures.drawing import require_matplotlib
from quantkit.report.figures.pareto import pareto_png, pareto_svg
from quantkit.report.figures.sensitivity import sensitivity_png
from quantkit.report.figures.tune import tune_png

__all__ = ["bench_png", "pareto_png", "pareto_svg", "require_matplotlib", "sensitivity_png", "tune_png"]
