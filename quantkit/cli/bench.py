"""quantkit bench: throughput of artifacts, side by side."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("bench")
@click.argument("artifacts", nargs=-1)
@click.option("-m", "--model", "models", multiple=True, help="The same as an argument (repeatable).")
@click.option("--data", show_default="squad", help="Dataset name or file the questions are taken from.")
@click.option(
    "--scenario",
    type=click.Choice(["offline", "single-stream"]),
    show_default="offline",
    help="Throughput in batches, or one question at a time.",
)
@click.option("--questions", type=int, show_default="200", help="Questions per measured pass.")
@click.option("--repeats", type=int, show_default="5", help="Interleaved passes per artifact.")
@click.option("--token-budget", type=int, show_default="1024", help="Tokens per batch, padding included.")
@click.option("--threads", type=int, show_default="all cores", help="Threads per pass.")
@options.data_dir_option
@options.json_option
def command(
    *,
    artifacts: tuple[str, ...],
    models: tuple[str, ...],
    data: str | None,
    scenario: str | None,
    questions: int | None,
    repeats: int | None,
    token_budget: int | None,
    threads: int | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Measure throughput of artifacts side by side.

    Passes are interleaved (A B A B ...), and every ratio is to the first artifact in the same round, so that
    a machine that changes its speed changes no ratio.
    """
    from quantkit.artifact import Artifact
    from quantkit.errors import UsageError
    from quantkit.recipe.settings import BenchSettings
    from quantkit.stages.bench import bench

    paths = (*artifacts, *models)
    if not paths:
        raise UsageError("ARTIFACTS: are missing; name one or more, the reference first")
    settings = options.section(
        BenchSettings,
        {
            "data": data,
            "scenario": scenario,
            "questions": questions,
            "repeats": repeats,
            "token_budget": token_budget,
            "threads": threads,
        },
    )
    opened = [Artifact.open(path) for path in paths]
    with show.working():
        report = bench(opened, settings=settings, data_dir=data_dir)
        opened[-1].keep_report("bench.json", report.as_json())
    if as_json:
        show.print_json(report.as_json())
        return
    rows = [
        (
            path,
            f"{result.qps:.1f}",
            f"{result.ratio:.2f} x",
            f"{result.spread[0]:.2f} to {result.spread[1]:.2f}",
            ", ".join(f"{name} {value:.1f} ms" for name, value in result.latency_ms.items()),
        )
        for path, result in zip(paths, report.results, strict=True)
    ]
    title = f"{report.scenario}: {report.samples:,} windows of {report.dataset_name}, {report.repeats} passes"
    columns = ("artifact", "windows/s", "ratio", "spread", "latency")
    show.print_table(title, columns, rows, right=(1, 2))
