"""Judging: evidence → GateReport. The same evidence and settings give the same report, wherever it is done.

Two policies judge the F1 ratio. `mlperf` compares the point estimate over all questions, unrounded.
`statistical` asks whether the questions can tell: it leaves out those that were calibrated on, and passes
only what the lower bound of a bootstrap interval proves. Both are always in the report; the one in force
decides.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from quantkit.artifact.measure import tool_versions
from quantkit.metrics.bootstrap import PairedScores, paired_bootstrap
from quantkit.recipe.settings import GateSettings
from quantkit.records import Evaluation, GateReport, Interval
from quantkit.records.gate import Verdict
from quantkit.verdict.checks import (
    check_calibration,
    check_coverage,
    check_digests,
    check_fusions,
    check_interval,
    check_isa,
    check_kept,
    check_point_estimate,
    check_questions,
    check_saturation,
    check_size,
)
from quantkit.verdict.embeddings import check_embeddings
from quantkit.verdict.evidence import GateEvidence, percent, require_own_numbers
from quantkit.verdict.kinship import check_baseline, check_chance, check_gain, check_lineage, check_weights


def judge(evidence: GateEvidence, *, settings: GateSettings) -> GateReport:
    """Judge a candidate. The same evidence and settings give the same report.

    Raises:
        UsageError: the candidate is its own baseline, or the two do different tasks.
        ArtifactError: a report is for another digest, or its numbers are not those of its scores.
        EvaluationError: the two sides answered different questions, or the baseline's F1 is 0.
    """
    require_own_numbers(evidence)
    pairs = _pair(evidence.candidate_evaluation, evidence.baseline_evaluation)
    calibrated = evidence.calibrated
    kept = np.array([score.id not in calibrated for score in evidence.candidate_evaluation.scores])
    excluded = int(len(kept) - kept.sum())
    # When nothing that could be compared is left, the statistics are of all questions and decide nothing.
    undecidable = not np.any(pairs.baseline[kept] > 0) or len(kept) - excluded < 2
    statistics = paired_bootstrap(
        pairs if undecidable else _only(pairs, kept),
        min_ratio=settings.min_ratio,
        reference_f1=settings.reference_f1,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    candidate_f1, baseline_f1 = percent(pairs.candidate), percent(pairs.baseline)
    reference = baseline_f1 if settings.reference_f1 is None else settings.reference_f1
    checks = (
        check_point_estimate(candidate_f1, reference, settings),
        check_interval(statistics, settings, undecidable=undecidable),
        check_gain(statistics, settings),
        check_coverage(evidence.inspection, settings),
        check_fusions(evidence.inspection),
        check_questions(evidence),
        check_kept(excluded, len(kept)),
        check_size(evidence, settings),
        check_calibration(evidence, excluded, len(kept), settings),
        check_lineage(evidence, settings),
        check_weights(evidence, settings),
        check_baseline(evidence, settings),
        check_chance(evidence, settings),
        check_isa(evidence),
        check_saturation(evidence),
        check_digests(evidence),
        *check_embeddings(evidence, settings),
    )
    return GateReport(
        verdict=worst(check.verdict for check in checks if check.decides),
        policy=settings.policy,
        artifact=evidence.candidate.digest,
        baseline=evidence.baseline.digest,
        dataset=evidence.candidate_evaluation.dataset,
        dataset_name=evidence.candidate_evaluation.dataset_name,
        questions=len(kept),
        excluded=0 if undecidable else excluded,
        min_ratio=settings.min_ratio,
        reference_f1=settings.reference_f1,
        ratio=candidate_f1 / reference,
        baseline_f1=baseline_f1,
        candidate_f1=candidate_f1,
        changed=float(np.mean(pairs.candidate != pairs.baseline)),
        kept_ratio=statistics.ratio,
        interval=Interval(low=statistics.low, high=statistics.high, confidence=statistics.confidence),
        p_value=statistics.p_value,
        resampled=statistics.resampled,
        clusters=statistics.clusters,
        design_effect=statistics.design_effect,
        questions_needed=statistics.questions_needed,
        checks=checks,
        settings=settings.as_json(),
        tools=tool_versions("numpy"),
    )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return `fail` when anything failed, else `inconclusive` when anything was, else `pass`."""
    seen = set(verdicts)
    if "fail" in seen:
        return "fail"
    return "inconclusive" if "inconclusive" in seen else "pass"


def _pair(candidate: Evaluation, baseline: Evaluation) -> PairedScores:
    """Bring both sides into the order of the candidate's questions."""
    by_id = {score.id: score.f1 for score in baseline.scores}
    return PairedScores(
        candidate=np.array([score.f1 for score in candidate.scores], dtype=np.float64),
        baseline=np.array([by_id[score.id] for score in candidate.scores], dtype=np.float64),
        groups=tuple(score.group for score in candidate.scores),
    )


def _only(pairs: PairedScores, kept: NDArray[np.bool_]) -> PairedScores:
    groups = tuple(group for group, stays in zip(pairs.groups, kept, strict=True) if stays)
    return PairedScores(candidate=pairs.candidate[kept], baseline=pairs.baseline[kept], groups=groups)
