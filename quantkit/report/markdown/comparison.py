"""A comparison as Markdown: both tables, what is missing, and the run the throughputs come from."""

from quantkit.printable import one_line, spelled_out
from quantkit.records.comparison import Comparison
from quantkit.report.markdown.text import SIGNS, escape
from quantkit.report.shapes import shape_table
from quantkit.report.tables import Cell, Line, tables
from quantkit.report.words import score_words, throughput_words


def comparison_markdown(report: Comparison) -> str:
    """Return the tables with one gain row below each model, as in a write-up."""
    lines = ["# quantkit report", "", escape(score_words(report)), escape(throughput_words(report))]
    shapes = shape_table(report)
    for table in [*tables(report), *([shapes] if shapes else [])]:
        lines += ["", f"## {table.caption}", ""]
        columns = map(escape, table.columns)
        lines.append(f"| | {' | '.join(columns)} |")
        lines.append(f"|---|{'---:|' * len(table.columns)}")
        lines += [_row(line) for line in table.lines]
        lines += ["", table.note] if table.note else []
    judged = [entry for entry in report.entries if entry.gate is not None]
    if judged:
        lines += ["", "## Gate", ""]
        for entry in judged:
            assert entry.gate is not None
            verdict = f"{SIGNS[entry.gate.verdict]} {entry.gate.verdict}"
            lines.append(f"- {escape(entry.name)}: {verdict} (policy {entry.gate.policy})")
    if report.missing:
        lines += ["", "## Missing", ""]
        lines += [f"- {escape(gap.name)}, {gap.number}: {_code(gap.command)}" for gap in report.missing]
    return spelled_out("\n".join(lines) + "\n")


def _row(line: Line) -> str:
    bold = line.kind != "gain"
    name = f"**{escape(line.name)}**" if bold else f"↳ {escape(line.name)} {escape(line.note)}"
    return f"| {name} | {' | '.join(_cell(cell) for cell in line.cells)} |"


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({cell.note})" if cell.note else cell.text


def _code(command: str) -> str:
    """Return a command as code that no backtick in it ends."""
    line = one_line(command)
    fence = "`"
    while fence in line:
        fence += "`"
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"
