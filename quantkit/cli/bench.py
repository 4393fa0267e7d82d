"""quantkit bench: throughput of artifacts, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show

if TYPE_CHECKING:
    from quantkit.artifact import Artifact
    from quantkit.records import BenchReport

CHART = "bench.png"


@click.command("bench")
@click.argument("artifacts", nargs=-1)
@click.option("-m", "--model", "models", multiple=True, help="The same as an argument (repeatable).")
@click.option("--data", show_default="squad", help="Dataset name or file the questions are taken from.")
@click.option(
    "--scenario",
    type=click.Choice(["offline", "single-stream", "server"]),
    show_default="offline",
    help="Throughput in batches, one question at a time, or the highest rate that is held.",
)
@click.option("--questions", type=int, show_default="200", help="Questions per measured pass or trial.")
@click.option("--repeats", type=int, show_default="5", help="Fewest interleaved rounds.")
@click.option("--max-repeats", type=int, show_default="20", help="Most rounds, while it is too noisy.")
@click.option("--max-spread", type=float, show_default="0.1", help="Widest relative interval of a ratio.")
@click.option(
    "--profile",
    type=click.Choice(["fixed", "tuned"]),
    show_default="fixed",
    help="The options below for all, or what `quantkit tune` found for each.",
)
@click.option("--token-budget", type=int, show_default="1024", help="Tokens per batch, padding included.")
@click.option("--threads", type=int, show_default="all cores", help="Threads in all.")
@click.option("--instances", type=int, help="Sessions that share the threads.  [default: one per thread]")
@click.option(
    "--runtime",
    type=click.Choice(["onnxruntime", "openvino"]),
    show_default="onnxruntime",
    help="What runs the graph.",
)
@click.option(
    "--engine",
    type=click.Choice(["threads", "processes", "ray"]),
    show_default="threads",
    help="How instances are run.",
)
@options.ray_address_option
@click.option(
    "--equal-lengths",
    is_flag=True,
    default=None,
    help="Only questions of one length share a batch; attention needs no mask then.",
)
@click.option("--latency-bound", type=float, show_default="130.0", help="Server: ms that 99 % must keep.")
@click.option("--seed", type=int, show_default="0", help="Server: seed of the arrivals.")
@options.data_dir_option
@options.json_option
def command(
    *,
    artifacts: tuple[str, ...],
    models: tuple[str, ...],
    data_dir: Path | None,
    as_json: bool,
    **given: object,
) -> None:
    """Measure throughput of artifacts side by side.

    Rounds are interleaved (A B A B ...), and every ratio is to the first artifact in the same round, so that
    a machine that changes its speed changes no ratio. When the rounds do not agree, more are run; when they
    still do not, there is no ratio, and the exit code is 4.
    """
    from quantkit.artifact import Artifact
    from quantkit.errors import INCONCLUSIVE, UsageError
    from quantkit.recipe.settings import BenchSettings
    from quantkit.stages.bench import bench

    paths = (*artifacts, *models)
    if not paths:
        raise UsageError("ARTIFACTS: are missing; name one or more, the reference first")
    settings = options.section(BenchSettings, given)
    opened = [Artifact.open(path) for path in paths]
    with show.working():
        report = bench(opened, settings=settings, data_dir=data_dir)
        _keep(report, opened[-1])
    if as_json:
        show.print_json(report.as_json())
    else:
        _print(report, paths)
    if report.verdict != "measured":
        click.get_current_context().exit(INCONCLUSIVE)


def _keep(report: "BenchReport", artifact: "Artifact") -> None:
    """Keep the report, and what people read, in the artifact."""
    from quantkit.errors import UsageError
    from quantkit.report.figures import bench_png
    from quantkit.report.markdown import bench_markdown

    if not artifact.keep_report("bench.json", report.as_json()):
        return
    artifact.keep_report("bench.md", bench_markdown(report))
    if report.verdict != "measured":
        # A chart shows no doubt; the last one would be of another measurement.
        artifact.report_path(CHART).unlink(missing_ok=True)
        return
    try:
        artifact.keep_report(CHART, bench_png(report))
    except UsageError as error:
        show.say(f"no chart: {error}")


def _print(report: "BenchReport", paths: tuple[str, ...]) -> None:
    from quantkit.report.words import interval_text, noise_line, ratio_text, runs_text

    rows = [
        (
            path,
            f"{result.qps:.1f}",
            ratio_text(result),
            interval_text(result),
            ", ".join(f"{name} {value:.1f} ms" for name, value in result.latency_ms.items()),
            runs_text(result),
        )
        for path, result in zip(paths, report.results, strict=True)
    ]
    title = f"{report.scenario}: {report.windows:,} windows of {report.dataset_name}, {report.repeats} rounds"
    columns = ("artifact", "windows/s", "ratio", "90 % interval", "latency", "runs")
    show.print_table(title, columns, rows, right=(1, 2))
    if report.verdict != "measured":
        show.say(noise_line(report))
