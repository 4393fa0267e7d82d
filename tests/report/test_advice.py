"""What a gate that did not pass says to do: a line for each check that counted."""

import pytest
from report_records import gate_report

from quantkit.records import Check
from quantkit.records.gate import Verdict
from quantkit.report.advice import advice
from quantkit.report.markdown import gate_markdown


def _check(name: str, verdict: Verdict, *, decides: bool = True) -> Check:
    return Check(name=name, required="", observed="", verdict=verdict, decides=decides)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (_check("accuracy mlperf", "fail"), "--mode auto"),
        (_check("f1 statistical", "inconclusive"), "bring about 69,000 questions"),
        (_check("f1 statistical", "fail"), "--mode auto"),
        (_check("saturation", "fail"), "--target-isa any"),
        (_check("chance", "fail"), "quantkit data check"),
        (_check("own metric", "fail"), "docs/gate.md"),
    ],
)
def test_a_check_that_counted_has_its_line(check: Check, words: str) -> None:
    """The line begins with the check's name and says what to do; the Markdown has it too."""
    report = gate_report(checks=(check,))
    (line,) = advice(report)
    assert line.startswith(f"{check.name}: ")
    assert words in line
    assert f"\n* {check.name}: " in gate_markdown(report)


def test_what_passed_or_does_not_count_has_none() -> None:
    """Nothing is advised about checks that passed, or that the policy does not count."""
    checks = (_check("size", "pass"), _check("f1 statistical", "fail", decides=False))
    assert advice(gate_report(checks=checks)) == ()


def test_a_student_is_told_to_learn_and_of_its_teacher() -> None:
    """What quantization could mend is not what a student lacks, and its baseline is another checkpoint's."""
    asked = "a student of the baseline's checkpoint, same tokenizer, FP32"
    lineage = Check(name="lineage", required=asked, observed="", verdict="fail")
    first, second = advice(gate_report(checks=(_check("accuracy mlperf", "fail"), lineage)))
    assert "let the student learn longer" in first
    assert "the checkpoint that the student was made from" in second
