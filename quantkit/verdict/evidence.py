"""The evidence of a gate, and the refusal of evidence that belongs to something else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.artifact import Artifact
from quantkit.artifact.artifact import CALIBRATION
from quantkit.errors import ArtifactError, EvaluationError, UsageError
from quantkit.metrics.metric import Mean, Metric, measures_of, percent
from quantkit.metrics.of_tasks import metric_of
from quantkit.metrics.own import own_mean
from quantkit.records import Evaluation, Inspection, Lineage, scores_digest
from quantkit.records.evaluation import UNNAMED
from quantkit.report.digits import short

# F1 and exact match are sums of some 10,000 floats: what another order of summation may change, and no more.
_SUM_TOLERANCE = 1e-9
GUESSES_A_LABEL = frozenset({"text-classification"})
"""Tasks of which chance is one label of several; config.json of every model may name labels that mean nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateEvidence:
    """All that a verdict rests on. Nothing more is read, and nothing of it is believed that can be computed.

    Attributes:
        candidate: the artifact that is judged; what counts of it is its manifest.
        baseline: the FP32 artifact; of a recorded one there is the manifest alone.
        candidate_evaluation: with its scores.
        baseline_evaluation: with its scores.
        inspection: of the candidate.
        baseline_inspection: of the baseline.
        lineage: how far the candidate's weights are the baseline's.
        calibrated: ids of the questions the candidate was calibrated on.
        labels: how many labels a guess is one of; 0 where chance does not depend on them.
    """

    candidate: Artifact
    baseline: Artifact
    candidate_evaluation: Evaluation
    baseline_evaluation: Evaluation
    inspection: Inspection
    baseline_inspection: Inspection
    lineage: Lineage
    calibrated: frozenset[str]
    labels: int


def evidence_of(
    candidate: Artifact,
    baseline: Artifact,
    *,
    evaluations: tuple[Evaluation, Evaluation],
    inspections: tuple[Inspection, Inspection],
    lineage: Lineage,
) -> GateEvidence:
    """Put the evidence together, with what the candidate's own files say of calibration and labels.

    Args:
        candidate: opened, and so checked byte by byte.
        baseline: the same, or recorded.
        evaluations: of the candidate and of the baseline, with their scores.
        inspections: of the candidate and of the baseline.
        lineage: of both.

    Raises:
        ArtifactError: `calibration.json` has no list of ids.
    """
    return GateEvidence(
        candidate=candidate,
        baseline=baseline,
        candidate_evaluation=evaluations[0],
        baseline_evaluation=evaluations[1],
        inspection=inspections[0],
        baseline_inspection=inspections[1],
        lineage=lineage,
        calibrated=calibrated_ids(candidate),
        labels=label_count(candidate),
    )


def require_own_numbers(evidence: GateEvidence) -> None:
    """Refuse evidence that is about other bytes, other data or other work.

    Raises:
        UsageError: the candidate is its own baseline, or the two do different tasks.
        ArtifactError: a report is for another digest, or its numbers are not those of its scores.
        EvaluationError: the two sides answered different questions.
    """
    candidate, baseline = evidence.candidate, evidence.baseline
    if candidate.digest == baseline.digest:
        raise UsageError(
            f"{candidate.path}: is its own baseline, which proves nothing; "
            "give the FP32 artifact as --baseline"
        )
    if candidate.task != baseline.task:
        raise UsageError(
            f"{baseline.path}: does {baseline.task}, the candidate does {candidate.task}; "
            "give a baseline of the same task"
        )
    _require_own_evaluation(candidate, evidence.candidate_evaluation)
    _require_own_evaluation(baseline, evidence.baseline_evaluation)
    _require_own_inspection(candidate, evidence.inspection)
    _require_own_inspection(baseline, evidence.baseline_inspection)
    lineage = evidence.lineage
    if (lineage.artifact, lineage.baseline) != (candidate.digest, baseline.digest):
        raise ArtifactError(
            f"{candidate.path}: its lineage is of {short(lineage.artifact)} and {short(lineage.baseline)}, not of "
            f"{short(candidate.digest)} and {short(baseline.digest)}; gate it again"
        )
    left, right = evidence.candidate_evaluation, evidence.baseline_evaluation
    same = {score.id for score in left.scores} == {score.id for score in right.scores}
    if left.own_metric != right.own_metric:
        raise EvaluationError(
            f"gate: the candidate was scored by {_scorer(left)}, the baseline by {_scorer(right)}; "
            "evaluate both by one function that gives the same for the same answers"
        )
    if left.dataset != right.dataset or not same or left.metric != right.metric or not _same_gold(evidence):
        raise EvaluationError(
            f"gate: the candidate answered {_data(left)}, the baseline {_data(right)}; "
            "evaluate both on the same data"
        )


def metric_in(evidence: GateEvidence) -> Metric:
    """Return the metric that the candidate's evaluation names, of its task or the user's own."""
    return _metric(evidence.candidate_evaluation)


def _metric(evaluation: Evaluation) -> Metric:
    own = evaluation.own_metric
    if own is None:
        return metric_of(evaluation.task, evaluation.metric)
    return own_mean(evaluation.metric, chance=own.chance, by_row=own.by_row)


def _scorer(evaluation: Evaluation) -> str:
    own = evaluation.own_metric
    if own is None:
        return f"the task's {evaluation.metric}"
    return f"{evaluation.metric} of {own.file} ({short(own.sha256)}, chance {own.chance:g})"


def _same_gold(evidence: GateEvidence) -> bool:
    """Return whether the measures of both sides rest on the same right answers."""
    metric = metric_in(evidence)

    def gold(evaluation: Evaluation) -> NDArray[np.float64]:
        ordered = sorted(evaluation.scores, key=lambda score: score.id)
        return metric.gold(measures_of(ordered))

    return np.array_equal(gold(evidence.candidate_evaluation), gold(evidence.baseline_evaluation))


def _data(evaluation: Evaluation) -> str:
    named = f"{evaluation.questions} questions of {evaluation.dataset_name} ({short(evaluation.dataset)})"
    return named if evaluation.metric == UNNAMED else f"{named} for {evaluation.metric}"


def _require_own_evaluation(artifact: Artifact, evaluation: Evaluation) -> None:
    wrong = _contradiction(artifact, evaluation)
    if wrong:
        raise ArtifactError(f"{artifact.path}: its evaluation {wrong}; evaluate it again with --refresh")


def _require_own_inspection(artifact: Artifact, inspection: Inspection) -> None:
    if inspection.artifact != artifact.digest:
        raise ArtifactError(
            f"{artifact.path}: its inspection is for another digest ({short(inspection.artifact)}, "
            f"not {short(artifact.digest)}); inspect this artifact"
        )
    manifest = artifact.manifest
    macs = sum(layer.macs for layer in inspection.layers)
    integer = sum(layer.macs for layer in inspection.layers if layer.integer)
    expected = {
        "architecture": manifest.architecture,
        "task": manifest.task,
        "precision": manifest.precision,
        "size_bytes": artifact.model_bytes,
        "expected_fusions": manifest.expected_fusions,
        "fused": {name: inspection.kernels.get(name, 0) for name in inspection.fused},
        "int8_coverage": integer / macs if macs else 0.0,
    }
    wrong = [name for name, value in expected.items() if getattr(inspection, name) != value]
    if wrong:
        raise ArtifactError(
            f"{artifact.path}: its inspection has another {wrong[0]} than its manifest and its own layers give; "
            "inspect this artifact"
        )


def _contradiction(artifact: Artifact, evaluation: Evaluation) -> str | None:
    """Return what an evaluation says that its artifact or its own scores do not, None when all agrees."""
    scores = evaluation.scores
    ids = {score.id for score in scores}
    if evaluation.artifact != artifact.digest:
        return f"is for another digest ({short(evaluation.artifact)}, not {short(artifact.digest)})"
    if evaluation.task != artifact.task:
        return f"is of the task {evaluation.task}, not {artifact.task}"
    if not len(ids) == len(scores) == evaluation.questions or not ids:
        return f"counts {evaluation.questions} questions and has scores of {len(ids)}"
    if not all(0 <= score.f1 <= 1 and 0 <= score.exact_match <= 1 for score in scores):
        return "has scores that are not from 0 to 1"
    if scores_digest(scores) != evaluation.predictions_sha256:
        return "has predictions with another sha256 than it says"
    return _sums_contradict(evaluation)


def _sums_contradict(evaluation: Evaluation) -> str | None:
    exact = np.array([[score.exact_match] for score in evaluation.scores], dtype=np.float64)
    if abs(percent(Mean(name="exact match"), exact) - evaluation.exact_match) > _SUM_TOLERANCE:
        return "has an exact match that is not the mean of its scores"
    if len({len(score.measures) for score in evaluation.scores}) > 1:
        return "has more measures of some questions than of others"
    try:
        metric = _metric(evaluation)
    except KeyError:
        return f"is of a metric {evaluation.metric!r}, which {evaluation.task} does not have"
    measures = measures_of(evaluation.scores)
    fault = metric.fault(measures)
    if fault is None and abs(percent(metric, measures) - evaluation.f1) > _SUM_TOLERANCE:
        if isinstance(metric, Mean):
            return f"has a metric {evaluation.metric} that is not the mean of its scores"
        return f"says {evaluation.metric} {evaluation.f1!r}, which its measures do not give"
    return fault


def calibrated_ids(candidate: Artifact) -> frozenset[str]:
    """Return the ids of the questions the candidate was calibrated on, from its `calibration.json`.

    Raises:
        ArtifactError: the file has no list of ids.
    """
    if CALIBRATION not in candidate.manifest.files:
        return frozenset()
    ids = candidate.read_json(CALIBRATION).get("ids")
    if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
        raise ArtifactError(
            f"{candidate.path / CALIBRATION}: has no list of question ids; quantize again with this version"
        )
    return frozenset(ids)


def label_count(candidate: Artifact) -> int:
    """Return how many labels a guess is one of, by `config.json`; 0 where chance does not depend on them.

    Raises:
        ArtifactError: a classifier's config names no labels.
    """
    if candidate.task not in GUESSES_A_LABEL:
        return 0
    labels = candidate.config.get("id2label")
    if not isinstance(labels, dict) or not labels:
        raise ArtifactError(
            f"{candidate.path / 'config.json'}: has no id2label, so nobody knows what chance is; "
            "export the checkpoint again"
        )
    return len(labels)
