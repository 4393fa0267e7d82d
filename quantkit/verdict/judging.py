"""Judging: evidence → GateReport. The same evidence and settings give the same report, wherever it is done.

Two policies judge the ratio of the task's metric. `mlperf` compares the point estimate over all questions, unrounded.
`statistical` asks whether the questions can tell: it leaves out those that were calibrated on, and passes
only what the lower bound of a bootstrap interval proves. Both are always in the report; the one in force
decides.
"""

from collections.abc import Iterable

import numpy as np

from quantkit.artifact.measure import tool_versions
from quantkit.metrics.metric import changed, measures_of, percent
from quantkit.metrics.resampled import PairedMeasures, bootstrap
from quantkit.recipe.settings import GateSettings
from quantkit.records import GateReport, Interval, QuestionScore
from quantkit.records.evaluation import UNSCORED
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
from quantkit.verdict.evidence import GateEvidence, metric_in, require_own_numbers
from quantkit.verdict.kinship import check_baseline, check_chance, check_gain, check_lineage, check_weights
from quantkit.verdict.own_metric import check_own_metric, scored_by_row


def judge(evidence: GateEvidence, *, settings: GateSettings) -> GateReport:
    """Judge a candidate. The same evidence and settings give the same report.

    Raises:
        UsageError: the candidate is its own baseline, or the two do different tasks.
        ArtifactError: a report is for another digest, or its numbers are not those of its scores.
        EvaluationError: the two sides answered different questions, or the baseline's metric is 0.
    """
    require_own_numbers(evidence)
    metric, named = metric_in(evidence), evidence.candidate_evaluation.metric
    ours, theirs = evidence.candidate_evaluation.scores, _in_order(evidence)
    pairs = PairedMeasures(
        metric=metric,
        candidate=measures_of(ours),
        baseline=measures_of(theirs),
        groups=tuple(score.group for score in ours),
    )
    kept = np.array([score.id not in evidence.calibrated for score in ours])
    excluded, left = int(len(kept) - kept.sum()), pairs.only(kept)
    # When nothing that could be compared is left, the statistics are of all questions and decide nothing.
    undecidable = "" if left.comparable else "too few questions were not calibrated on"
    if not scored_by_row(evidence.candidate_evaluation):
        undecidable = "one number for all questions cannot be resampled"
    if named == UNSCORED:
        undecidable = "without scores there is nothing to resample"
    statistics = bootstrap(
        left if left.comparable else pairs,
        min_ratio=settings.min_ratio,
        reference=settings.reference_f1,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    candidate_f1, baseline_f1 = percent(metric, pairs.candidate), percent(metric, pairs.baseline)
    reference = baseline_f1 if settings.reference_f1 is None else settings.reference_f1
    checks = (
        check_point_estimate(candidate_f1, reference, settings, metric=named),
        check_interval(statistics, settings, undecidable=undecidable, metric=named),
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
        *check_own_metric(evidence),
    )
    return GateReport(
        verdict=worst(check.verdict for check in checks if check.decides),
        policy=settings.policy,
        artifact=evidence.candidate.digest,
        baseline=evidence.baseline.digest,
        dataset=evidence.candidate_evaluation.dataset,
        dataset_name=evidence.candidate_evaluation.dataset_name,
        questions=len(kept),
        excluded=excluded if left.comparable else 0,
        min_ratio=settings.min_ratio,
        reference_f1=settings.reference_f1,
        metric=named,
        own_metric=own.sha256 if (own := evidence.candidate_evaluation.own_metric) else None,
        ratio=candidate_f1 / reference,
        baseline_f1=baseline_f1,
        candidate_f1=candidate_f1,
        changed=changed(metric, ours, theirs),
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


def _in_order(evidence: GateEvidence) -> list[QuestionScore]:
    """Return the baseline's scores in the order of the candidate's questions."""
    by_id = {score.id: score for score in evidence.baseline_evaluation.scores}
    return [by_id[score.id] for score in evidence.candidate_evaluation.scores]
