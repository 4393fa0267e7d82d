"""What a measurement of throughput leaves in the reports of its artifact."""

import logging

from quantkit.artifact import Artifact
from quantkit.errors import UsageError
from quantkit.records import BenchReport
from quantkit.report.figures import bench_png
from quantkit.report.markdown import bench_markdown

CHART = "bench.png"
_LOG = logging.getLogger(__name__)


def keep_bench(report: BenchReport, artifact: Artifact) -> None:
    """Keep the report and what people read; a read-only or published artifact keeps nothing.

    Without the extra `report` there is no chart, and a warning says so. A measurement that was too noisy has none, and
    takes the last one away: a chart shows no doubt, and that one would be of another measurement.

    Raises:
        OutputError: the disk is full.
    """
    if not artifact.keep_report("bench.json", report.as_json()):
        return
    artifact.keep_report("bench.md", bench_markdown(report))
    if report.verdict != "measured":
        artifact.report_path(CHART).unlink(missing_ok=True)
        return
    try:
        artifact.keep_report(CHART, bench_png(report))
    except UsageError as error:
        _LOG.warning("no chart: %s", error)
