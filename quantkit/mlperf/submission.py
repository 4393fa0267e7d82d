"""The submission tree, as MLPerf Inference lays it out since round v6.0.

    <division>/<submitter>/
        src/                                    what ran: this package's source, and the artifact's manifest
        documentation/README.md, calibration.md
        systems/<system>.json
        results/<system>/<benchmark>/<scenario>/
            measurements.json, README.md, user.conf
            accuracy/         accuracy.txt, mlperf_log_accuracy.json (shortened), detail and summary
            performance/run_1/                                                     detail and summary

Runs that are no result have a folder NOT-SUBMITTABLE around all this and after the system's name, so that a tree
copied by mistake is found by no checker under a division.
"""

import shutil
from pathlib import Path

import quantkit
from quantkit.artifact import Artifact
from quantkit.files import pretty_json
from quantkit.mlperf.accuracy import RESULT, Score, accuracy_text, shorten
from quantkit.mlperf.detail_log import ACCURACY, DETAIL, SUMMARY
from quantkit.mlperf.documents import calibration_document, measurements, scenario_document, tree_document
from quantkit.mlperf.finished import FinishedScenario
from quantkit.mlperf.rules import NOT_SUBMITTABLE, SCENARIOS
from quantkit.mlperf.settings import Entry

_PACKAGE = Path(quantkit.__file__).parent


def submission_root(out: Path, reasons: tuple[str, ...]) -> Path:
    """Return the folder that holds the divisions."""
    return out / NOT_SUBMITTABLE if reasons else out


def system_folder(system: str, reasons: tuple[str, ...]) -> str:
    """Return the name that the system has in the tree."""
    return f"{system}-{NOT_SUBMITTABLE}" if reasons else system


def write_submission(
    out: Path,
    artifact: Artifact,
    *,
    entry: Entry,
    benchmark: str,
    finished: tuple[FinishedScenario, ...],
    reasons: tuple[str, ...],
) -> None:
    """Write the tree into `out`, a folder that vanishes when the caller fails.

    Args:
        out: a new folder.
        artifact: what ran.
        entry: whose submission it is.
        benchmark: such as `bert-99.9`.
        finished: the runs.
        reasons: why it is none; empty when it may be one.
    """
    base = submission_root(out, reasons) / entry.division / entry.submitter
    system = system_folder(entry.system, reasons)
    _write(base / "systems" / f"{system}.json", pretty_json(entry.description))
    _write(base / "documentation" / "README.md", tree_document(artifact, entry, benchmark, finished, reasons))
    _write(base / "documentation" / "calibration.md", calibration_document(artifact))
    _write_source(base / "src", artifact)
    for runs in finished:
        folder = base / "results" / system / benchmark / SCENARIOS[runs.scenario]
        _write(folder / "measurements.json", pretty_json(measurements(artifact, entry.retraining)))
        _write(folder / "README.md", scenario_document(artifact, runs, reasons))
        _write(folder / "user.conf", runs.user_conf)
        if runs.accuracy is not None and runs.score is not None:
            _write_accuracy(folder / "accuracy", runs.accuracy, runs.score)
            # The rules want the whole log kept: MLCommons may ask for it.
            whole = out / "whole-logs" / SCENARIOS[runs.scenario] / ACCURACY
            whole.parent.mkdir(parents=True)
            shutil.copyfile(runs.accuracy / ACCURACY, whole)
        if runs.performance is not None:
            _copy_logs(runs.performance, folder / "performance" / "run_1")
    for reason in reasons[:1]:
        _write(out / f"{NOT_SUBMITTABLE}.txt", f"NOT SUBMITTABLE: {reason}\n")


def _write_accuracy(folder: Path, logs: Path, score: Score) -> None:
    _copy_logs(logs, folder)
    content = (logs / ACCURACY).read_bytes()
    _write(folder / RESULT, accuracy_text(score, content))
    (folder / ACCURACY).write_bytes(shorten(content))


def _copy_logs(logs: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in (DETAIL, SUMMARY):
        shutil.copyfile(logs / name, folder / name)


def _write_source(folder: Path, artifact: Artifact) -> None:
    for path in sorted(_PACKAGE.rglob("*.py")):
        target = folder / _PACKAGE.name / path.relative_to(_PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    _write(folder / "artifact" / "manifest.json", artifact.manifest.serialized())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
