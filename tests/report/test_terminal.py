"""The gate report on the terminal: complete, plain where there is none, and never read as markup."""

import io

from report_records import gate_report
from rich.console import Console

from quantkit.records import GateReport
from quantkit.report.terminal import show


def terminal(report: GateReport, *, width: int = 80, is_terminal: bool = True) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=is_terminal,
        color_system="truecolor" if is_terminal else "auto",
    )
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_terminal_shows_both_policies_in_80_columns() -> None:
    """Verdict, p, interval, questions needed and every check fit 80 columns."""
    text = terminal(gate_report(), is_terminal=True)
    plain = "".join(part.split("m", 1)[-1] for part in text.split("\x1b["))

    assert all(len(line) <= 80 for line in plain.splitlines())
    for word in ("FAIL", "0.2000", "0.996500 to 1.000500", "69,000", "48 articles", "inconclusive*"):
        assert word in plain


def test_terminal_says_what_was_drawn_and_what_to_do() -> None:
    """Where every question stands for itself there is no talk of articles; a failure ends with what to do."""
    text = terminal(gate_report(clusters=10_470), is_terminal=False)

    assert "articles" not in text
    assert "to 1.000500, of 10,470 questions" in text
    assert "→ f1 mlperf: the answers changed too much" in text


def test_terminal_is_plain_when_it_is_none() -> None:
    """In a pipe there are no escape sequences, and rows are not folded at 80 columns."""
    text = terminal(gate_report(), is_terminal=False)

    assert "\x1b" not in text
    assert ">= 0.999 of 75.0" in text


def test_terminal_reads_no_markup() -> None:
    """A dataset named like markup is shown as it is called."""
    assert "[red]x[/red]" in terminal(gate_report(dataset_name="[red]x[/red]"), is_terminal=False)


def test_numbers_are_cut() -> None:
    """0.99899999 is shown as 0.998999: a ratio below the limit never looks as if it reached it."""
    assert "0.998999" in terminal(gate_report())
