"""The checks of a gate, one function each: what is required, what was observed, the verdict."""

import re
from fractions import Fraction

from quantkit.artifact.artifact import CALIBRATION
from quantkit.metrics.bootstrap import RatioStatistics
from quantkit.pinned import by_digest, own_name
from quantkit.recipe.settings import GateSettings
from quantkit.records import Check, Inspection
from quantkit.records.evaluation import UNNAMED
from quantkit.records.gate import Verdict
from quantkit.report.digits import cut, short
from quantkit.runtime.cpu import ANY, NATIVE, TARGET_NAMES, CpuFacts, resolve_target, validated_here
from quantkit.verdict.evidence import GateEvidence

# Evaluation settings that change how fast the answers come, not what they are.
_SPEED_SETTINGS = frozenset({"token_budget", "threads"})
# What `evaluate` calls a dataset when a limit cut it short; its digest is then another one, too.
_PART = re.compile(r"-first-\d+$")
LEAST_KEPT = 0.5


def reaches(value: float, min_ratio: float, reference: float) -> bool:
    """Return whether value >= min_ratio * reference, exactly, for the decimal numbers as they are written.

    The product of two floats is itself rounded, and can end above a value that reaches it. So the three
    numbers are taken as the shortest decimals that stand for them, 0.999 and 90.874, and compared as
    fractions: 90.783126 reaches it and the next smaller float does not.
    """
    return Fraction(repr(float(value))) >= Fraction(repr(float(min_ratio))) * Fraction(repr(float(reference)))


def _small(metric: str) -> str:
    """Return a metric's name as a check has it; F1 is `f1` there."""
    return "f1" if metric == UNNAMED else metric


def check_point_estimate(
    candidate_f1: float, reference: float, settings: GateSettings, *, metric: str
) -> Check:
    """Compare the metric over all questions, unrounded: what MLPerf does."""
    whose = "the baseline's" if settings.reference_f1 is None else "the reference"
    return Check(
        name=f"{_small(metric)} mlperf",
        required=f">= {settings.min_ratio} of {whose} {reference!r}",
        observed=f"{cut(candidate_f1 / reference)} ({metric} {candidate_f1!r})",
        verdict="pass" if reaches(candidate_f1, settings.min_ratio, reference) else "fail",
        decides=settings.policy == "mlperf",
    )


def check_interval(
    statistics: RatioStatistics, settings: GateSettings, *, undecidable: str, metric: str
) -> Check:
    """Ask the bootstrap interval: pass above the limit, fail below it, inconclusive across it.

    Args:
        statistics: of the bootstrap.
        settings: the limit.
        undecidable: why it decides nothing, in words; empty: it does.
        metric: its name.
    """
    verdict: Verdict = "inconclusive"
    if not undecidable and statistics.high < settings.min_ratio:
        verdict = "fail"
    elif (
        not undecidable
        and statistics.low >= settings.min_ratio
        and statistics.p_value <= 1 - settings.confidence
    ):
        verdict = "pass"
    observed = f"[{cut(statistics.low)}, {cut(statistics.high)}], p {statistics.p_value:.4f}"
    if statistics.resampled == "question":
        observed += f", by question, for {statistics.clusters} articles are too few"
    if undecidable:
        observed += f"; {undecidable}"
    return Check(
        name=f"{_small(metric)} statistical",
        required=f"lower bound >= {settings.min_ratio}, p <= {1 - settings.confidence:.3g}",
        observed=observed,
        verdict=verdict,
        decides=settings.policy == "statistical",
    )


def check_coverage(inspection: Inspection, settings: GateSettings) -> Check:
    """Compare the share of linear-layer multiply-accumulates in the integer kernels that were executed."""
    return Check(
        name="int8 coverage",
        required=f">= {settings.min_int8_coverage} of linear MACs",
        observed=cut(inspection.int8_coverage),
        verdict="pass" if inspection.int8_coverage >= settings.min_int8_coverage else "fail",
    )


def check_fusions(inspection: Inspection) -> Check:
    """Compare the fused operators with those the architecture calls for."""
    expected = {op: count for op, count in sorted(inspection.expected_fusions.items()) if count}
    found = {op: inspection.fused.get(op, 0) for op in expected}
    missing = {op: count for op, count in found.items() if count < expected[op]}
    return Check(
        name="fusions",
        required=", ".join(f"{op} {count}" for op, count in expected.items()) or "none: it was not fused",
        observed=", ".join(f"{op} {count}" for op, count in missing.items()) or "complete",
        verdict="fail" if missing else "pass",
    )


def check_questions(evidence: GateEvidence) -> Check:
    """Require the whole dataset, answered under the same settings."""
    evaluation, baseline = evidence.candidate_evaluation, evidence.baseline_evaluation
    pinned = by_digest(evaluation.dataset)
    known = pinned.questions if pinned else None
    faults = []
    if known is not None and known != evaluation.questions:
        faults.append(f"{known - evaluation.questions} are missing")
    if _PART.search(evaluation.dataset_name):
        faults.append("the first ones only: a limit left questions out")
    elif own_name(evaluation.dataset_name, evaluation.dataset) != evaluation.dataset_name:
        faults.append(f"{short(evaluation.dataset)} is not {evaluation.dataset_name}")
    different = sorted(
        name
        for name in {*evaluation.settings, *baseline.settings} - _SPEED_SETTINGS
        if evaluation.settings.get(name) != baseline.settings.get(name)
    )
    if different:
        faults.append(f"evaluated with different {', '.join(different)}")
    # Told, and no fault: both sides were cut alike.
    truncated = [f"truncated: {evaluation.truncated_words}"] if evaluation.truncated_words else []
    whole = f"all {known} questions" if known else "all questions"
    return Check(
        name="questions",
        required=f"{whole}, alike on both sides",
        observed="; ".join([str(evaluation.questions), *truncated, *faults]),
        verdict="fail" if faults else "pass",
    )


def check_kept(excluded: int, questions: int) -> Check:
    """Require that most questions were not calibrated on: the others show what the candidate was fitted to."""
    return Check(
        name="kept questions",
        required=f">= {LEAST_KEPT} of them not calibrated on",
        observed=f"{questions - excluded} of {questions}",
        verdict="pass" if questions - excluded >= LEAST_KEPT * questions else "fail",
    )


def check_size(evidence: GateEvidence, settings: GateSettings) -> Check:
    """Require a model smaller than the baseline, and than the limit when there is one."""
    size, baseline = evidence.candidate.model_bytes, evidence.baseline.model_bytes
    limit = settings.max_size_mb
    required = f"< the baseline's {baseline / 1e6:.3f} MB"
    small = size < baseline
    if limit is not None:
        required += f", <= {limit} MB"
        small = small and size <= Fraction(repr(limit)) * 10**6
    return Check(
        name="size", required=required, observed=f"{size / 1e6:.3f} MB", verdict="pass" if small else "fail"
    )


def check_calibration(evidence: GateEvidence, excluded: int, questions: int, settings: GateSettings) -> Check:
    """Report how many questions were calibrated on, or that a static artifact does not say."""
    quantized = evidence.candidate.manifest.stage("quantize")
    imported = evidence.candidate.manifest.stage("import")
    static = quantized is not None and quantized.settings.get("mode") == "static"
    if imported is not None and quantized is None:
        static = imported.facts.get("static_ranges") is not False
    unknown = static and CALIBRATION not in evidence.candidate.manifest.files
    statistical = settings.policy == "statistical"
    return Check(
        name="calibration",
        required="left out of both sides" if statistical else "reported",
        observed=f"unknown: no {CALIBRATION}" if unknown else f"{excluded} of {questions} were calibrated on",
        verdict="inconclusive" if unknown else "pass",
        decides=statistical,
    )


def check_isa(evidence: GateEvidence) -> Check:
    """Require that the answers come from a CPU whose INT8 kernels are those the artifact was made for.

    The other kernels saturate elsewhere or not at all: what was measured on them says nothing about the target. An
    artifact without a target, or with `native`, is judged on the CPU at hand.
    """
    quantized = evidence.candidate.manifest.stage("quantize")
    said = NATIVE if quantized is None else str(quantized.facts.get("target_isa", NATIVE))
    facts = CpuFacts.from_json(evidence.candidate_evaluation.cpu)
    found = resolve_target(NATIVE, facts).name
    known = said in TARGET_NAMES
    proven = known and validated_here(resolve_target(said, facts), facts)
    if said == ANY:
        # Then integer products are the same on all CPUs; `check_saturation` tells where they are not.
        proven = not evidence.inspection.saturating
    where = f"unnamed kernels on {facts.model}" if found == NATIVE else f"{found} kernels"
    observed = f"evaluated with {where}"
    if not known:
        observed += f", which say nothing about {said!r}, a target this version does not know"
    elif said == ANY and not proven:
        observed += f"; {evidence.inspection.saturating[0]} is not exact on every CPU, quantize it again"
    elif not proven:
        observed += f", which say nothing about {said}; evaluate it on such a CPU and gate it there"
    return Check(
        name="isa",
        required="any CPU's kernels" if said in (NATIVE, ANY) else f"evaluated with {said} kernels",
        observed=observed,
        verdict="pass" if proven else "fail",
    )


def check_saturation(evidence: GateEvidence) -> Check:
    """Require sums that cannot saturate, where the candidate was evaluated on kernels that add pairs in 16 bits.

    Elsewhere it is reported: such an artifact has not to be exact where it is not meant to run. Evaluated with int8
    weights as uint8 ones (`exact_int8`) it is exact, and the verdict is of it as it runs so.
    """
    layers = evidence.inspection.saturating
    unsigned = evidence.candidate_evaluation.settings.get("int8_products") == "u8u8"
    saturates = resolve_target(NATIVE, CpuFacts.from_json(evidence.candidate_evaluation.cpu)).saturates
    observed = "exact on every CPU"
    if layers:
        observed = f"{layers[0]} and {len(layers) - 1} more can" if len(layers) > 1 else f"{layers[0]} can"
        observed += (
            ", and this CPU has no VNNI" if saturates else ", on x86 without VNNI, and not on this CPU"
        )
        observed += "; evaluated with --exact-int8 (u8u8), run it so there" if saturates and unsigned else ""
    return Check(
        name="saturation",
        required="no layer's sums saturate" if saturates else "reported",
        observed=observed,
        verdict="fail" if layers and saturates and not unsigned else "pass",
    )


def check_digests(evidence: GateEvidence) -> Check:
    """Say whose numbers these are; those of other bytes never come this far (`require_own_numbers`)."""
    return Check(
        name="digests",
        required="numbers of these bytes",
        observed=f"{short(evidence.candidate.digest)}, {short(evidence.baseline.digest)}",
        verdict="pass",
    )
