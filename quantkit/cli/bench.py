"""quantkit bench: throughput of artifacts, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show

if TYPE_CHECKING:
    from quantkit.records import BenchReport


@click.command("bench")
@options.arguments()
@options.settings("BenchSettings")
@options.data_dir_option
@options.json_option
def command(
    *, artifacts: tuple[str, ...], given: options.Given, data_dir: Path | None, as_json: bool
) -> None:
    """Measure throughput of artifacts side by side.

    Rounds are interleaved (A B A B ...), and every ratio is to the first artifact in the same round, so that
    a machine that changes its speed changes no ratio. When the rounds do not agree, more are run; when they
    still do not, there is no ratio, and the exit code is 4.
    """
    from quantkit.artifact import Artifact
    from quantkit.errors import INCONCLUSIVE, UsageError
    from quantkit.recipe.settings import BenchSettings
    from quantkit.report.bench_files import keep_bench
    from quantkit.stages.bench import bench

    if not artifacts:
        raise UsageError("ARTIFACTS: are missing; name one or more, the reference first")
    settings = given.build(BenchSettings)
    opened = [Artifact.open(path) for path in artifacts]
    with show.working():
        report = bench(opened, settings=settings, data_dir=data_dir)
        keep_bench(report, opened[-1])
    if as_json:
        show.print_json(report.as_json())
    else:
        _print(report, artifacts)
    if report.verdict != "measured":
        click.get_current_context().exit(INCONCLUSIVE)


def _print(report: "BenchReport", paths: tuple[str, ...]) -> None:
    from quantkit.report.words import interval_text, noise_line, profile_text, ratio_text

    rows = [
        (
            path,
            f"{result.qps:.1f}",
            ratio_text(result),
            interval_text(result),
            ", ".join(f"{name} {value:.1f} ms" for name, value in result.latency_ms.items()),
            profile_text(result),
        )
        for path, result in zip(paths, report.results, strict=True)
    ]
    title = f"{report.scenario}: {report.windows:,} windows of {report.dataset_name}, {report.repeats} rounds"
    columns = ("artifact", "windows/s", "ratio", "90 % interval", "latency", "profile")
    show.print_table(title, columns, rows, right=(1, 2))
    if report.verdict != "measured":
        show.say(noise_line(report))
