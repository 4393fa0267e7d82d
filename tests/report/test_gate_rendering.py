"""The gate report as terminal text, Markdown and JUnit XML: complete, escaped, and fit for its reader."""

import io
from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from quantkit.records import Check, GateReport, Interval
from quantkit.report.digits import cut
from quantkit.report.junit import render_junit
from quantkit.report.markdown import escape, render_markdown
from quantkit.report.terminal import show

CHECKS = (
    Check(name="f1 mlperf", required=">= 0.999 of 75.0", observed="0.998 (F1 74.85)", verdict="fail"),
    Check(
        name="f1 statistical", required="p <= 5 %", observed="p 0.2", verdict="inconclusive", decides=False
    ),
    Check(name="fusions", required="SkipLayerNormalization 12", observed="complete", verdict="pass"),
)


@pytest.fixture
def report() -> Callable[..., GateReport]:
    """Return a maker of reports."""

    def make(**changes: object) -> GateReport:
        report = GateReport(
            verdict="fail",
            policy="mlperf",
            artifact="a" * 64,
            baseline="b" * 64,
            dataset="d" * 64,
            dataset_name="squad",
            questions=10_570,
            excluded=100,
            min_ratio=0.999,
            ratio=0.99899999,
            baseline_f1=75.0,
            candidate_f1=74.92499925,
            changed=0.02,
            kept_ratio=0.9985,
            interval=Interval(low=0.9965, high=1.0005, confidence=0.9),
            p_value=0.2,
            resampled="article",
            clusters=48,
            design_effect=1.7,
            questions_needed=69_000,
            checks=CHECKS,
        )
        return report.model_copy(update=changes)

    return make


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


def test_terminal_shows_both_policies_in_80_columns(report: Callable[..., GateReport]) -> None:
    """Verdict, p, interval, questions needed and every check fit 80 columns."""
    text = terminal(report(), is_terminal=True)
    plain = "".join(part.split("m", 1)[-1] for part in text.split("\x1b["))

    assert all(len(line) <= 80 for line in plain.splitlines())
    for word in ("FAIL", "0.2000", "0.996500 to 1.000500", "69,000", "48 articles", "inconclusive*"):
        assert word in plain


def test_terminal_is_plain_when_it_is_none(report: Callable[..., GateReport]) -> None:
    """In a pipe there are no escape sequences, and rows are not folded at 80 columns."""
    text = terminal(report(), is_terminal=False)

    assert "\x1b" not in text
    assert ">= 0.999 of 75.0" in text


def test_terminal_reads_no_markup(report: Callable[..., GateReport]) -> None:
    """A dataset named like markup is shown as it is called."""
    assert "[red]x[/red]" in terminal(report(dataset_name="[red]x[/red]"), is_terminal=False)


def test_numbers_are_cut_not_rounded(report: Callable[..., GateReport]) -> None:
    """0.99899999 is shown as 0.998999: a number below the limit never looks as if it reached it."""
    assert "0.998999" in terminal(report())
    assert "0.998999" in render_markdown(report())
    assert cut(-0.00000001, 2) == "-0.01"
    assert cut(1.0) == "1.000000"


def test_markdown_tells_the_verdict_first(report: Callable[..., GateReport]) -> None:
    """The heading is the verdict; p, interval, share changed and questions needed follow."""
    text = render_markdown(report())

    assert text.startswith("## ❌ quantkit gate: fail\n")
    for word in ("0.996500 to 1.000500", "| 0.2000 |", "2.00%", "69,000", "inconclusive (not counted)"):
        assert word in text


def test_markdown_without_a_number_of_questions(report: Callable[..., GateReport]) -> None:
    """When nothing changed there is no number of questions, and a dash says so."""
    assert "| questions needed | - (80 % power" in render_markdown(report(questions_needed=None))


@given(st.text(max_size=40))
def test_markdown_cells_stay_cells(text: str) -> None:
    """No text opens a new cell, a new row, a tag or a link."""
    escaped = escape(text)

    assert "\n" not in escaped
    assert escaped.replace("\\\\", "").count("|") == escaped.replace("\\\\", "").count("\\|")
    assert escaped.replace("\\\\", "").count("<") == escaped.replace("\\\\", "").count("\\<")


def test_markdown_escapes_names(report: Callable[..., GateReport]) -> None:
    """A dataset's name and a check's text cannot break the table or bring HTML along."""
    check = Check(name="a|b", required="<img src=x>", observed="x\n| y |", verdict="pass")

    text = render_markdown(report(dataset_name="<b>", checks=(check,)))

    assert r"\<b\>" in text
    assert r"| a\|b | \<img src=x\> | x \| y \| | ✅ pass |" in text


def test_junit_has_one_case_per_check(report: Callable[..., GateReport]) -> None:
    """A counted failure is a failure; what is inconclusive or not counted is skipped and says why."""
    suite = ElementTree.fromstring(render_junit(report()))[0]

    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert [check.name for check in CHECKS] == list(cases)
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failure = cases["f1 mlperf"].find("failure")
    assert failure is not None
    assert "0.998 (F1 74.85)" in failure.get("message", "")
    skipped = cases["f1 statistical"].find("skipped")
    assert skipped is not None
    assert "policy mlperf does not count it" in skipped.get("message", "")
    assert cases["fusions"].find("failure") is None


def test_junit_of_an_inconclusive_gate_is_skipped(report: Callable[..., GateReport]) -> None:
    """An inconclusive check that counts is skipped, not failed and not passed."""
    check = Check(name="f1 statistical", required="r", observed="o", verdict="inconclusive")

    suite = ElementTree.fromstring(render_junit(report(checks=(check,), policy="statistical")))[0]

    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")


@given(st.text(max_size=60))
def test_junit_is_xml_whatever_the_text(text: str) -> None:
    """Markup, quotes, surrogates and control characters leave well-formed XML that says the same."""
    check = Check(name="n", required=text, observed=text, verdict="fail")
    report = GateReport.model_construct(
        checks=(check,), policy="mlperf", dataset_name=text, verdict="fail", artifact="a", baseline="b",
        dataset="d", ratio=1.0, candidate_f1=1.0, baseline_f1=1.0,
    )  # fmt: skip

    document = ElementTree.fromstring(render_junit(report).encode("utf-8"))

    failure = document.find(".//failure")
    assert failure is not None
    printable = "".join(character for character in text if character.isprintable())
    assert all(character in (failure.text or "") for character in printable)
