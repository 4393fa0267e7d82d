"""The check passes a submission without a fault, and finds each fault by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import UsageError
from quantkit.mlperf.check import check_submission, verdict_of
from quantkit.mlperf.settings import Reference

Spoil = Callable[[Path], None]
SCENARIO = "open/Acme/results/box/bert-99.9/Offline"
SINGLE = "open/Acme/results/box/bert-99.9/SingleStream"
RUN = "performance/run_1/mlperf_log_detail.txt"


def failed(root: Path, reference: Reference | None = None) -> set[str]:
    """Return the names of the deciding checks that failed."""
    checks = check_submission(root, reference or Reference())
    names = {check.name for check in checks if check.decides and check.verdict == "fail"}
    assert verdict_of(checks) == ("fail" if names else "pass")
    return names


def test_whole_submission(submission: Path) -> None:
    """Nothing is wrong with a submission that has everything."""
    assert failed(submission) == set()


def rewrite(path: Path, changes: dict[str, Any], errors: tuple[str, ...] = ()) -> None:
    """Give a detail log other values; None takes one out."""
    marker = ":::MLLOG "
    found = [json.loads(line.removeprefix(marker)) for line in path.read_text().splitlines()]
    values = {entry["key"]: entry["value"] for entry in found} | changes
    entries = [(key, value, False) for key, value in values.items() if value is not None]
    entries += [("error", message, True) for message in errors]
    lines = [
        marker + json.dumps({"key": key, "value": value, "metadata": {"is_error": is_error}})
        for key, value, is_error in entries
    ]
    path.write_text("\n".join(lines) + "\n")


def log(scenario: str, changes: dict[str, Any], errors: tuple[str, ...] = ()) -> Spoil:
    """Return what changes a performance log."""
    return lambda root: rewrite(root / "open/Acme/results/box/bert-99.9" / scenario / RUN, changes, errors)


def accuracy(changes: dict[str, Any]) -> Spoil:
    """Return what changes an accuracy log."""
    return lambda root: rewrite(root / SCENARIO / "accuracy/mlperf_log_detail.txt", changes)


def text(name: str, content: str) -> Spoil:
    """Return what writes a file."""
    return lambda root: (root / name).write_text(content, encoding="utf-8") and None


def field(name: str, value: str) -> Spoil:
    """Return what changes a field of the system description."""

    def spoil(root: Path) -> None:
        path = root / "open/Acme/systems/box.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return spoil


P = "Offline performance: "
FAULTS: list[tuple[Spoil, set[str]]] = [
    (log("Offline", {"result_validity": "INVALID"}), {P + "LoadGen's verdict"}),
    (log("Offline", {"result_validity": None}), {P + "LoadGen's verdict"}),
    (log("Offline", {"result_min_duration_met": False}), {P + "minima met"}),
    (log("Offline", {"effective_min_duration_ms": 200}), {P + "minimum duration, ms"}),
    (log("Offline", {"effective_min_duration_ms": True}), {P + "minimum duration, ms"}),
    (log("Offline", {"effective_samples_per_query": 10_832}), {P + "samples in the query"}),
    (log("Offline", {"effective_performance_sample_count": 50}), {P + "performance samples"}),
    (log("Offline", {"effective_qsl_rng_seed": 0}), {P + "seeds"}),
    (
        log("Offline", {"effective_qsl_rng_seed": 2465351861681999779}),  # of v6.0, the others of v6.1
        {P + "seeds"},
    ),
    (log("Offline", {"effective_scenario": "Server"}), {P + "run"}),
    (log("Offline", {"effective_test_mode": "AccuracyOnly"}), {P + "run"}),
    (log("Offline", {}, ("changed",)), {P + "LoadGen's errors"}),
    (log("SingleStream", {"early_stopping_met": False}), {"SingleStream performance: early stopping"}),
    (log("SingleStream", {"early_stopping_latency_ss": 0}), {"SingleStream performance: early stopping"}),
    (text(f"{SCENARIO}/{RUN}", "nothing\n"), {P + "log"}),
    (accuracy({"qsl_reported_total_count": 10_570}), {"Offline accuracy: samples"}),
    (accuracy({"effective_accuracy_sample_count": 5}), {"Offline accuracy: samples"}),
    (accuracy({"effective_test_mode": "PerformanceOnly"}), {"Offline accuracy: run"}),
    (
        text(f"{SCENARIO}/accuracy/accuracy.txt", '{"exact_match": 80.0, "f1": 90.0}\nhash=ab\n'),
        {"Offline: F1, 99.9 %"},
    ),
    (
        text(f"{SCENARIO}/accuracy/accuracy.txt", '{"exact_match": 80.0, "f1": 90.783126}\n'),
        {"Offline: accuracy hash"},
    ),
    (text(f"{SCENARIO}/accuracy/accuracy.txt", "hash=ab\n"), {"Offline: F1"}),
    (text(f"{SCENARIO}/accuracy/mlperf_log_accuracy.json", "x" * 10_241), {"Offline: accuracy log"}),
    (text(f"{SCENARIO}/user.conf", "# NOT SUBMITTABLE: a quick run\n"), {"Offline: user.conf"}),
    (text(f"{SCENARIO}/README.md", ""), {"Offline: files"}),
    (text(f"{SCENARIO}/measurements.json", "{}"), {"Offline: measurements.json"}),
    (text(f"{SCENARIO}/measurements.json", "{"), {"Offline: measurements.json"}),
    (field("cooling", ""), {"system description"}),
    (field("status", "someday"), {"system description"}),
    (field("submitter", "Other"), {"system description"}),
    (text("open/Acme/systems/box.json", "["), {"system description"}),
    (lambda root: (root / "open/Acme/documentation/calibration.md").unlink(), {"documents"}),
    (lambda root: (root / SCENARIO / RUN).unlink(), {"Offline: files"}),
]


@pytest.mark.parametrize(("spoil", "expected"), FAULTS)
def test_each_fault_is_found(submission: Path, spoil: Spoil, expected: set[str]) -> None:
    """One fault fails the checks that are about it, and no other."""
    spoil(submission)
    assert failed(submission) == expected


def test_closed(submission: Path) -> None:
    """The closed division wants TEST01, and the F1 of MLPerf's own model whatever the reference is."""
    (submission / "open").rename(submission / "closed")
    path = submission / "closed/Acme/systems/box.json"
    path.write_text(path.read_text().replace('"open"', '"closed"').replace('"edge"', '"datacenter"'))
    generous = Reference(f1=10.0, whose="a small model")
    assert failed(submission, generous) == {"compliance", "suite"}
    low = submission / "closed/Acme/results/box/bert-99.9/Offline/accuracy/accuracy.txt"
    low.write_text('{"exact_match": 80.0, "f1": 90.7}\nhash=ab\n')
    assert failed(submission, generous) == {"compliance", "suite", "Offline: F1, 99.9 %"}


def test_reference_of_the_open_division(submission: Path) -> None:
    """In the open division the reference is the one given; it is named, and both shares are shown."""
    reference = Reference(f1=91.05, whose="the baseline 0123")
    checks = {check.name: check for check in check_submission(submission, reference)}
    assert checks["Offline: F1, 99.9 %"].verdict == "pass"
    assert "the baseline 0123" in checks["Offline: F1, 99.9 %"].required
    assert not checks["Offline: F1, 99 %"].decides
    assert failed(submission, Reference(f1=91.2)) == {"Offline: F1, 99.9 %", "SingleStream: F1, 99.9 %"}


def test_no_submission(tmp_path: Path) -> None:
    """A folder without a submission is a mistake, not a pass."""
    with pytest.raises(UsageError, match="holds no <division>"):
        check_submission(tmp_path, Reference())
