"""What of a submission would be rejected, read from the tree itself.

Some of it is what MLCommons' public submission checker looks at (files, fields, seeds, minima, targets). It does not
look at LoadGen's verdict, at minima that user.conf lowered in the open division, or at the target there; this does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quantkit.errors import EvaluationError, UsageError
from quantkit.mlperf.accuracy import RESULT, parse_accuracy_text
from quantkit.mlperf.checks_of_logs import check_accuracy_log, check_performance_log
from quantkit.mlperf.detail_log import ACCURACY, DETAIL, SUMMARY, DetailLog
from quantkit.mlperf.findings import Findings
from quantkit.mlperf.rules import (
    BENCHMARKS,
    CLOSED_SCENARIOS,
    MAX_ACCURACY_LOG,
    MAX_FILE,
    MEASUREMENT_FIELDS,
    NOT_SUBMITTABLE,
    SYSTEM_FIELDS,
)
from quantkit.mlperf.settings import Reference
from quantkit.mlperf.system_description import describe, missing_fields, read_description
from quantkit.records.gate import Check
from quantkit.strict_json import read_json

_SCENARIO_FILES = (
    "measurements.json",
    "README.md",
    "user.conf",
    f"accuracy/{RESULT}",
    f"accuracy/{ACCURACY}",
    f"accuracy/{DETAIL}",
    f"accuracy/{SUMMARY}",
    f"performance/run_1/{DETAIL}",
    f"performance/run_1/{SUMMARY}",
)
_DIVISIONS = ("open", "closed")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """One scenario's folder and the names above it."""

    division: str
    submitter: str
    system: str
    benchmark: str
    scenario: str
    folder: Path


def check_submission(root: Path, reference: Reference) -> tuple[Check, ...]:
    """Check a tree whose top holds the divisions.

    Args:
        root: the folder with `open` or `closed` in it.
        reference: what F1 is compared with in the open division; closed always compares with MLPerf's.

    Raises:
        UsageError: there is no submission in it.
    """
    findings = Findings()
    places = list(_places(root))
    if not places:
        raise UsageError(f"{root}: holds no <division>/<submitter>/results; give the folder of a submission")
    for base in sorted({place.folder.parents[3] for place in places}):
        _check_submitter(base, findings)
    for folder in sorted({place.folder.parents[1] for place in places}):
        _check_system(folder, findings)
    for folder in sorted({place.folder.parent for place in places}):
        _check_benchmark(folder, findings)
    for place in places:
        _check_scenario(place, reference, findings)
    return findings.checks


def verdict_of(checks: Sequence[Check]) -> Literal["pass", "fail"]:
    """Return whether everything that decides passed."""
    return "pass" if all(check.verdict == "pass" for check in checks if check.decides) else "fail"


def _places(root: Path) -> list[_Place]:
    found = []
    for division in _DIVISIONS:
        for folder in sorted((root / division).glob("*/results/*/*/*")):
            if folder.is_dir():
                submitter, _, system, benchmark, scenario = folder.relative_to(root / division).parts
                found.append(
                    _Place(
                        division=division,
                        submitter=submitter,
                        system=system,
                        benchmark=benchmark,
                        scenario=scenario,
                        folder=folder,
                    )
                )
    return found


def _check_submitter(base: Path, findings: Findings) -> None:
    wanted = ("documentation/README.md", "documentation/calibration.md")
    absent = [name for name in wanted if _is_empty(base / name)]
    if not any(base.glob("src/**/*.py")):
        absent.append("src")
    findings.note(
        "documents", "README.md, calibration.md and the source", _lacking(absent), passed=not absent
    )
    large = [path.name for path in base.rglob("*") if path.is_file() and path.stat().st_size > MAX_FILE]
    findings.note("file sizes", "50 MiB each at most", _lacking(large, "too large"), passed=not large)


def _check_system(folder: Path, findings: Findings) -> None:
    base, system = folder.parents[1], folder.name
    division, submitter = base.parent.name, base.name
    marked = NOT_SUBMITTABLE in str(folder)
    findings.note(
        "meant as a result",
        "yes",
        f"no: the system is called {system}" if marked else "yes",
        passed=not marked,
    )
    try:
        given = read_description(base / "systems" / f"{system}.json")
        describe(given, division=division, submitter=submitter)
    except UsageError as error:
        findings.note("system description", f"{len(SYSTEM_FIELDS)} fields", str(error), passed=False)
        return
    empty = sorted({*missing_fields(given), *(name for name in SYSTEM_FIELDS if name not in given)})
    findings.note(
        "system description", f"{len(SYSTEM_FIELDS)} fields", _lacking(empty, "not said"), passed=not empty
    )
    if division == "closed":
        kind = given.get("system_type", "")
        findings.note("suite", "BERT is in the edge suite", kind or "not said", passed="edge" in kind)


def _check_benchmark(folder: Path, findings: Findings) -> None:
    known = folder.name in BENCHMARKS
    findings.note("benchmark", " or ".join(BENCHMARKS), folder.name, passed=known)
    if folder.parents[3].name != "closed":
        return
    absent = [name for name in CLOSED_SCENARIOS if not (folder / name).is_dir()]
    findings.note("scenarios", " and ".join(CLOSED_SCENARIOS), _lacking(absent), passed=not absent)
    tests = [path.name for path in folder.iterdir() if not (path / "TEST01").is_dir()]
    findings.note(
        "compliance", "TEST01 of each scenario", _lacking([f"TEST01 of {name}" for name in tests]), not tests
    )


def _check_scenario(place: _Place, reference: Reference, findings: Findings) -> None:
    inside = findings.within(place.scenario)
    absent = [name for name in _SCENARIO_FILES if _is_empty(place.folder / name)]
    inside.note("files", f"{len(_SCENARIO_FILES)} files", _lacking(absent), passed=not absent)
    if f"performance/run_1/{DETAIL}" not in absent:
        _check_log(place, f"performance/run_1/{DETAIL}", inside)
    if f"accuracy/{DETAIL}" not in absent:
        _check_log(place, f"accuracy/{DETAIL}", inside)
    if "measurements.json" not in absent:
        _check_measurements(place.folder / "measurements.json", inside)
    if f"accuracy/{RESULT}" not in absent:
        _check_accuracy(place, reference, inside)
    if f"accuracy/{ACCURACY}" not in absent:
        size = (place.folder / "accuracy" / ACCURACY).stat().st_size
        inside.note(
            "accuracy log",
            f"{MAX_ACCURACY_LOG} bytes at most",
            f"{size} bytes",
            passed=size <= MAX_ACCURACY_LOG,
        )
    if "user.conf" not in absent:
        text = (place.folder / "user.conf").read_text(encoding="utf-8", errors="replace")
        marked = "NOT SUBMITTABLE" in text
        inside.note("user.conf", "of a result", "NOT SUBMITTABLE" if marked else "is one", passed=not marked)


def _check_log(place: _Place, name: str, findings: Findings) -> None:
    part = findings.within(name.split("/", 1)[0])
    try:
        log = DetailLog.read(place.folder / name)
    except EvaluationError as error:
        part.note("log", "as LoadGen wrote it", str(error), passed=False)
        return
    if name.startswith("performance"):
        check_performance_log(log, place.scenario, part)
    else:
        check_accuracy_log(log, place.scenario, part)


def _check_measurements(path: Path, findings: Findings) -> None:
    try:
        content: Any = read_json(path)
    except ValueError:
        content = None
    said = content if isinstance(content, dict) else {}
    absent = [name for name in MEASUREMENT_FIELDS if not said.get(name)]
    findings.note(
        "measurements.json",
        f"{len(MEASUREMENT_FIELDS)} fields",
        _lacking(absent, "not said"),
        passed=not absent,
    )


def _check_accuracy(place: _Place, reference: Reference, findings: Findings) -> None:
    text = (place.folder / "accuracy" / RESULT).read_text(encoding="utf-8", errors="replace")
    score, digest = parse_accuracy_text(text)
    findings.note("accuracy hash", "hash= of the whole log", digest or "none", passed=digest is not None)
    if score is None:
        findings.note("F1", "in accuracy.txt", "none", passed=False)
        return
    compared = Reference() if place.division == "closed" else reference
    for benchmark, share in BENCHMARKS.items():
        target = compared.f1 * share
        findings.note(
            f"F1, {100 * share:g} %",
            f">= {target:.6f}, {100 * share:g} % of {compared.whose} ({compared.f1:.6g})",
            f"{score.f1:.6f}",
            passed=score.f1 >= target,
            decides=benchmark == place.benchmark,
        )


def _is_empty(path: Path) -> bool:
    return not path.is_file() or path.stat().st_size == 0


def _lacking(names: list[str], word: str = "missing") -> str:
    return f"{word}: {', '.join(names)}" if names else "all there" if word == "missing" else "none wrong"
