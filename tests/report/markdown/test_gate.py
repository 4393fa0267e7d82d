"""The gate report as Markdown: the verdict first, numbers cut, and no text of others as markup."""

from hypothesis import given
from hypothesis import strategies as st
from report_records import gate_report

from quantkit.records import Check
from quantkit.report.markdown import gate_markdown
from quantkit.report.markdown.text import escape


def test_tells_the_verdict_first() -> None:
    """The heading is the verdict; p, interval, share changed and questions needed follow."""
    text = gate_markdown(gate_report())

    assert text.startswith("## ❌ quantkit gate: fail\n")
    for word in ("0.996500 to 1.000500", "| 0.2000 |", "2.00%", "69,000", "inconclusive (not counted)"):
        assert word in text


def test_without_a_number_of_questions() -> None:
    """When nothing changed there is no number of questions, and a dash says so."""
    assert "| questions needed | - (80 % power" in gate_markdown(gate_report(questions_needed=None))


@given(st.text(max_size=40))
def test_cells_stay_cells(text: str) -> None:
    """No text opens a new cell, a new row, a tag or a link."""
    escaped = escape(text)

    assert "\n" not in escaped
    assert escaped.replace("\\\\", "").count("|") == escaped.replace("\\\\", "").count("\\|")
    assert escaped.replace("\\\\", "").count("<") == escaped.replace("\\\\", "").count("\\<")


def test_escapes_names() -> None:
    """A dataset's name and a check's text cannot break the table or bring HTML along."""
    check = Check(name="a|b", required="<img src=x>", observed="x\n| y |", verdict="pass")

    text = gate_markdown(gate_report(dataset_name="<b>", checks=(check,)))

    assert r"\<b\>" in text
    assert r"| a\|b | \<img src=x\> | x \| y \| | ✅ pass |" in text


def test_numbers_are_cut() -> None:
    """0.99899999 is shown as 0.998999: a ratio below the limit never looks as if it reached it."""
    assert "0.998999" in gate_markdown(gate_report())
