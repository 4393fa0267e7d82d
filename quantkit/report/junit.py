"""A gate report as JUnit XML, which GitLab, Jenkins and GitHub's reporters show: one test case per check.

`fail` is a failure, `inconclusive` is skipped. A check that the policy in force does not count is never a
failure, so that what a pipeline shows red is what it failed for.
"""

from xml.etree import ElementTree

from quantkit.printable import spelled_out
from quantkit.records.gate import Check, GateReport

_PROPERTIES = ("verdict", "policy", "artifact", "baseline", "dataset", "ratio", "candidate_f1", "baseline_f1")


def gate_junit(report: GateReport) -> str:
    """Return the XML document."""
    failures = sum(check.verdict == "fail" and check.decides for check in report.checks)
    skipped = sum(_skip_reason(check, report) is not None for check in report.checks)
    counts = {"tests": len(report.checks), "failures": failures, "errors": 0, "skipped": skipped, "time": 0}
    attributes = {"name": "quantkit gate", **{name: str(count) for name, count in counts.items()}}
    root = ElementTree.Element("testsuites", attributes)
    suite = ElementTree.SubElement(root, "testsuite", attributes)
    properties = ElementTree.SubElement(suite, "properties")
    for name in _PROPERTIES:
        value = str(getattr(report, name))
        ElementTree.SubElement(properties, "property", {"name": name, "value": spelled_out(value)})
    for check in report.checks:
        suite.append(_case(check, report))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(check: Check, report: GateReport) -> ElementTree.Element:
    classname = f"quantkit.gate.{report.dataset_name.replace('.', '_')}"
    case = ElementTree.Element(
        "testcase", {"classname": spelled_out(classname), "name": spelled_out(check.name), "time": "0"}
    )
    numbers = spelled_out(f"required: {check.required}\nobserved: {check.observed}")
    reason = _skip_reason(check, report)
    if reason is not None:
        ElementTree.SubElement(case, "skipped", {"message": spelled_out(f"{reason}: {check.observed}")})
    elif check.verdict == "fail":
        message = spelled_out(f"{check.name}: {check.observed}; required: {check.required}")
        ElementTree.SubElement(case, "failure", {"message": message, "type": "gate"}).text = numbers
    ElementTree.SubElement(case, "system-out").text = numbers
    return case


def _skip_reason(check: Check, report: GateReport) -> str | None:
    if check.verdict == "pass":
        return None
    if not check.decides:
        return f"{check.verdict}, but policy {report.policy} does not count it"
    return "inconclusive" if check.verdict == "inconclusive" else None
