"""Reports as Markdown, for a job summary, a merge request or a model card."""

from quantkit.report.markdown.bench import bench_markdown
from quantkit.report.markdown.comparison import comparison_markdown
from quantkit.report.markdown.gate import gate_markdown

__all__ = ["bench_markdown", "comparison_markdown", "gate_markdown"]
