"""The gate report as JUnit XML: one case per check, and XML whatever the text."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from report_records import CHECKS, gate_report

from quantkit.records import Check, GateReport
from quantkit.report.junit import gate_junit


def test_has_one_case_per_check() -> None:
    """A counted failure is a failure; what is inconclusive or not counted is skipped and says why."""
    suite = ElementTree.fromstring(gate_junit(gate_report()))[0]

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


def test_of_an_inconclusive_gate_is_skipped() -> None:
    """An inconclusive check that counts is skipped, not failed and not passed."""
    check = Check(name="f1 statistical", required="r", observed="o", verdict="inconclusive")

    suite = ElementTree.fromstring(gate_junit(gate_report(checks=(check,), policy="statistical")))[0]

    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")


@given(st.text(max_size=60))
def test_is_xml_whatever_the_text(text: str) -> None:
    """Markup, quotes, surrogates and control characters leave well-formed XML that says the same."""
    check = Check(name="n", required=text, observed=text, verdict="fail")
    report = GateReport.model_construct(
        checks=(check,), policy="mlperf", dataset_name=text, verdict="fail", artifact="a", baseline="b",
        dataset="d", ratio=1.0, candidate_f1=1.0, baseline_f1=1.0,
    )  # fmt: skip

    document = ElementTree.fromstring(gate_junit(report).encode("utf-8"))

    failure = document.find(".//failure")
    assert failure is not None
    printable = "".join(character for character in text if character.isprintable())
    assert all(character in (failure.text or "") for character in printable)
