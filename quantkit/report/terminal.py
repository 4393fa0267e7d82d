"""A gate report on the terminal: fits 80 columns, and is plain text where there is no terminal."""

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from quantkit.printable import cell
from quantkit.records.gate import GateReport, Verdict
from quantkit.report.advice import advice
from quantkit.report.digits import cut, short

STYLES: dict[Verdict, str] = {"pass": "bold green", "fail": "bold red", "inconclusive": "bold yellow"}


def render(report: GateReport) -> RenderableType:
    """Return what `rich.console.Console.print` shows. Text of the report is never read as markup."""
    return Group(_headline(report), _numbers(report), _checks(report), *map(_advised, advice(report)))


def show(report: GateReport, console: Console | None = None) -> None:
    """Write the report to the console, standard output by default."""
    console = console or Console()
    # A pipe or a file has no width of its own, and job logs show more than 80 columns.
    if not console.is_terminal:
        console.width = 120
    console.print(render(report))


def _headline(report: GateReport) -> Text:
    line = Text()
    line.append(report.verdict.upper(), style=STYLES[report.verdict])
    line.append(f"  policy {report.policy}, {report.questions:,} questions of {cell(report.dataset_name)}\n")
    line.append(f"candidate {short(report.artifact)}, baseline {short(report.baseline)}", style="dim")
    return line


def _advised(line: str) -> Text:
    return Text(f"→ {cell(line)}")


def _numbers(report: GateReport) -> Table:
    table = Table.grid(padding=(0, 2))
    interval, kept = report.interval, report.questions - report.excluded
    reference = "" if report.reference_f1 is None else f", reference {report.reference_f1}"
    needed = "no change seen" if report.questions_needed is None else f"{report.questions_needed:,}"
    rows = (
        (report.metric, f"{cut(report.candidate_f1, 4)}, baseline {cut(report.baseline_f1, 4)}{reference}"),
        ("ratio", f"{cut(report.ratio)} on all {report.questions:,} questions"),
        ("ratio, kept", f"{cut(report.kept_ratio)} on the {kept:,} that were not calibrated on"),
        (
            f"{interval.confidence:.0%} interval",
            f"{cut(interval.low)} to {cut(interval.high)}, {_units(report, kept)}",
        ),
        ("p", f"{report.p_value:.4f} that the ratio is below {report.min_ratio}"),
        ("changed", f"{report.changed:.2%} of the questions"),
        ("needed", f"{needed} questions to decide (design effect {report.design_effect:.2f})"),
    )
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(cell(value)))
    return table


def _units(report: GateReport, kept: int) -> str:
    """Return what the bootstrap drew: articles, or questions where each belongs to nothing."""
    if report.clusters == kept:
        return f"of {kept:,} questions"
    return f"{report.clusters:,} articles, by {report.resampled}"


def _checks(report: GateReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("required", overflow="fold", min_width=len("SkipLayerNormalization 12"))
    table.add_column("observed", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for check in report.checks:
        style = STYLES[check.verdict] if check.decides else "dim"
        verdict = Text(check.verdict if check.decides else f"{check.verdict}*", style=style)
        table.add_row(*(Text(cell(text)) for text in (check.name, check.required, check.observed)), verdict)
    if not all(check.decides for check in report.checks):
        table.caption = Text(f"* shown, not counted by policy {report.policy}", style="dim")
    return table
