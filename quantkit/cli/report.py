"""quantkit report: the tables and the page of a set of artifacts."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show

if TYPE_CHECKING:
    from quantkit.records.comparison import Comparison


@click.command("report")
@options.arguments("DIR...")
@click.option("-o", "--output", type=options.FILE, help="Write the HTML page to this file.")
@click.option(
    "--bench",
    "bench_file",
    type=options.FILE,
    help="Take throughput from this file, made with `quantkit bench --json`.",
)
@click.option("--markdown", is_flag=True, help="Print Markdown to stdout, and nothing else there.")
@options.json_option
def command(
    *,
    artifacts: tuple[str, ...],
    output: Path | None,
    bench_file: Path | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Show artifacts side by side: tables and a page.

    Two tables, FP32 and INT8: score, parameters, size and throughput with gains against the first, and of an
    INT8 artifact against its FP32. Nothing is run; of a number that is missing, the command that makes it is
    named. Name the artifact that others are compared with first.
    """
    from quantkit.artifact import Artifact
    from quantkit.errors import UsageError
    from quantkit.files import write_text
    from quantkit.records import BenchReport
    from quantkit.stages.report import report

    if not artifacts:
        raise UsageError("DIR: is missing; name one artifact or more, the reference first")
    if as_json and markdown:
        raise UsageError("--json, --markdown: only one of them can be printed; keep one")
    bench = None if bench_file is None else BenchReport.read(bench_file)
    with show.working():
        found = report([Artifact.open(path) for path in artifacts], bench=bench)
    if output is not None:
        from quantkit.report.pages import comparison_page

        write_text(output, comparison_page(found))
    if as_json:
        show.print_json(found.as_json())
    elif markdown:
        from quantkit.report.markdown import comparison_markdown

        show.put(comparison_markdown(found).rstrip("\n"))
    else:
        _print(found)
    if output is not None:
        show.say(f"page: {output}")


def _print(found: "Comparison") -> None:
    """Print the two tables, the verdicts and the gaps."""
    from quantkit.report.shapes import shape_table
    from quantkit.report.tables import tables
    from quantkit.report.words import score_words, throughput_words

    for table in tables(found):
        rows = [
            (
                line.name if line.kind == "model" else f"  {line.name} {line.note}",
                *(f"{cell.text} ({cell.note})" if cell.note else cell.text for cell in line.cells),
            )
            for line in table.lines
        ]
        show.print_table(table.caption, ("", *table.columns), rows, right=(1, 2, 3, 4))
    shapes = shape_table(found)
    if shapes is not None:
        layers = [(line.name, *(cell.text for cell in line.cells)) for line in shapes.lines]
        show.print_table(shapes.caption, (shapes.first, *shapes.columns), layers)
    show.put(score_words(found))
    show.put(throughput_words(found))
    for entry in found.entries:
        if entry.gate is not None:
            show.put(f"gate of {entry.name}: {entry.gate.verdict} (policy {entry.gate.policy})")
    for gap in found.missing:
        show.put(f"no {gap.number} of {gap.name}: {gap.command}")
