"""What to do about a gate that did not pass: one line for each check that counted and did not."""

from quantkit.records.gate import OF_A_STUDENT, Check, GateReport

_SEARCH = (
    "the answers changed too much: quantize with --mode auto, which finds the layers to spare, or with more --calib "
    "questions, like those that are judged"
)
_BASELINE = "give the FP32 artifact that the candidate was quantized from as --baseline"
_STUDENT = (
    "the answers changed too much: let the student learn longer, on more data, or with labels (`distill --budget`, "
    "`--label-weight`), or ask the search for less; if its FP32 passes, it is the INT8: quantize with --mode auto"
)
_TEACHER = "give the FP32 artifact of the checkpoint that the student was made from as --baseline"
_ANY_CPU = "quantize with --target-isa any, or gate on a CPU that the artifact is for"
# The beginning of a check's name → what to do.
_ADVICE = {
    "cosine": _SEARCH,
    "nearest texts": _SEARCH,
    "gain": "a candidate that is this much better had a broken baseline: export the checkpoint again",
    "int8 coverage": "too much is computed in float: leave fewer layers out of INT8, or lower --min-int8-coverage",
    "fusions": "export and quantize again with this version of quantkit",
    "questions": "evaluate both with the whole file and the same lengths: gate with --no-cache",
    "kept questions": "calibrate on other questions than those that are judged",
    "size": "raise --max-size-mb, or quantize a smaller model",
    "calibration": "quantize again: the artifact does not say what it was calibrated on",
    "lineage": _BASELINE,
    "weights": _BASELINE,
    "baseline": _BASELINE,
    "chance": "the baseline guesses: look at the data with `quantkit data check`, and at the task and the labels",
    "isa": _ANY_CPU,
    "saturation": _ANY_CPU,
}


def advice(report: GateReport) -> tuple[str, ...]:
    """Return a line `check: what to do` for every check that counted and did not pass, none for a pass."""
    return tuple(
        f"{check.name}: {_for(check, report)}"
        for check in report.checks
        if check.decides and check.verdict != "pass"
    )


def _is_student(report: GateReport) -> bool:
    return any(check.name == "lineage" and check.required == OF_A_STUDENT for check in report.checks)


def _for(check: Check, report: GateReport) -> str:
    if check.name.endswith((" mlperf", " statistical")):
        if check.verdict == "inconclusive":
            needed = report.questions_needed
            more = "more questions" if needed is None else f"about {needed:,} questions"
            return f"{report.questions:,} questions cannot tell: bring {more}, or decide by --policy mlperf"
        return _STUDENT if _is_student(report) else _SEARCH
    if check.name in ("lineage", "weights") and _is_student(report):
        return _TEACHER
    return _ADVICE.get(check.name, "see docs/gate.md")
