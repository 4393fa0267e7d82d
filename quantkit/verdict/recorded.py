"""The evidence of a gate as files beside its report: all that whoever reads them needs to judge again.

Of the candidate there are `evaluation.json`, `predictions.json` and `inspection.json`; of the baseline the same, and
its manifest, whose digest binds the names and sha256 of all its files; and `lineage.json` of both.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import Field, TypeAdapter, ValidationError

from quantkit.artifact import Artifact, Manifest
from quantkit.errors import ArtifactError
from quantkit.records import Evaluation, Inspection, Lineage, QuestionScore
from quantkit.records.evaluation import evaluation_file, predictions_file
from quantkit.strict_json import read_json
from quantkit.verdict.evidence import GateEvidence, evidence_of

GATE = "gate.json"
EVALUATION = "evaluation.json"
PREDICTIONS = "predictions.json"
INSPECTION = "inspection.json"
BASELINE_MANIFEST = "baseline-manifest.json"
BASELINE_EVALUATION = "baseline-evaluation.json"
BASELINE_PREDICTIONS = "baseline-predictions.json"
BASELINE_INSPECTION = "baseline-inspection.json"
LINEAGE = "lineage.json"
EVIDENCE = (
    EVALUATION,
    PREDICTIONS,
    INSPECTION,
    BASELINE_MANIFEST,
    BASELINE_EVALUATION,
    BASELINE_PREDICTIONS,
    BASELINE_INSPECTION,
    LINEAGE,
)
"""The files that a verdict is computed from, beside the candidate's own."""

_SCORES = TypeAdapter(Annotated[tuple[QuestionScore, ...], Field(min_length=1)])


def write_evidence(evidence: GateEvidence) -> None:
    """Write the evidence into the candidate's reports.

    Raises:
        OutputError: the disk is full, or nothing may be written there.
    """
    candidate = evidence.candidate
    ours, theirs = evidence.candidate_evaluation, evidence.baseline_evaluation
    content: dict[str, Any] = {}
    for name in (ours.dataset_name, None):
        content |= {predictions_file(name): scores_json(ours.scores), evaluation_file(name): ours.as_json()}
    content |= {
        INSPECTION: evidence.inspection.as_json(),
        BASELINE_MANIFEST: evidence.baseline.manifest.serialized(),
        BASELINE_EVALUATION: theirs.as_json(),
        BASELINE_PREDICTIONS: scores_json(theirs.scores),
        BASELINE_INSPECTION: evidence.baseline_inspection.as_json(),
        LINEAGE: evidence.lineage.as_json(),
    }
    for file, value in content.items():
        candidate.write_report(file, value)


def read_evidence(candidate: Artifact, sources: Mapping[str, str]) -> GateEvidence:
    """Read the evidence back; the baseline is what its recorded manifest says.

    Args:
        candidate: with its reports.
        sources: name of `EVIDENCE` → the report it is kept as; names that are left out are kept as they are.

    Raises:
        ArtifactError: a file is missing, is not JSON or is not of its form; the line names it.
    """
    paths = {name: candidate.report_path(sources.get(name, name)) for name in EVIDENCE}
    return evidence_of(
        candidate,
        _baseline(paths[BASELINE_MANIFEST]),
        evaluations=(
            _evaluation(paths[EVALUATION], paths[PREDICTIONS]),
            _evaluation(paths[BASELINE_EVALUATION], paths[BASELINE_PREDICTIONS]),
        ),
        inspections=(Inspection.read(paths[INSPECTION]), Inspection.read(paths[BASELINE_INSPECTION])),
        lineage=Lineage.read(paths[LINEAGE]),
    )


def scores_json(scores: tuple[QuestionScore, ...]) -> list[dict[str, Any]]:
    """Return the content of a file of predictions."""
    return [score.model_dump(mode="json") for score in scores]


def read_scores(path: Path) -> tuple[QuestionScore, ...]:
    """Read a file of predictions.

    Raises:
        ArtifactError: it is missing, or is not a JSON list of scores from 0 to 1.
    """
    try:
        return _SCORES.validate_python(read_json(path))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: is missing; evaluate and gate again") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        _refuse(path, f"{where}: {first['msg']}" if where else first["msg"])
    except ValueError as error:
        _refuse(path, f"is not JSON ({error})")


def _evaluation(path: Path, predictions: Path) -> Evaluation:
    return Evaluation.read(path).model_copy(update={"scores": read_scores(predictions)})


def _baseline(path: Path) -> Artifact:
    try:
        return Artifact(path=path, manifest=Manifest.read_file(path))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: is missing; gate again") from None


def _refuse(path: Path, reason: str) -> NoReturn:
    raise ArtifactError(f"{path}: {reason}; evaluate and gate again")
