"""Evaluate and inspect both sides, compare their weights, judge: `quantkit gate`, composed above the stages."""

from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.sealed import kept
from quantkit.recipe.settings import EvaluateSettings, GateSettings
from quantkit.records import Evaluation, GateReport, Inspection, Lineage
from quantkit.runtime.hold import hold
from quantkit.stages import inspect as inspecting
from quantkit.stages import lineage as tracing
from quantkit.stages.evaluate import evaluate
from quantkit.stages.gate import GateEvidence, append_summary, evidence_of, gate, write_reports
from quantkit.tasks.data_places import DataPlaces


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """On which data and by which rules a candidate is judged, and whether the cache may answer."""

    evaluate: EvaluateSettings
    gate: GateSettings
    cached: bool = True


def judge(candidate: Artifact, baseline: Artifact, *, terms: Terms, data_dir: Path | None) -> GateReport:
    """Judge a candidate against its baseline; evaluations that are there already are not made again.

    The candidate is held from the beginning: the verdict is of the bytes that were there then.

    Raises:
        QuantkitError: as the stages do.
    """
    with hold(candidate) as held:
        theirs, ours = (
            evaluate(artifact, settings=terms.evaluate, data_dir=data_dir, cached=terms.cached)
            for artifact in (baseline, held)
        )
        evidence = gather(
            held,
            baseline,
            evaluations=(ours, theirs),
            inspection=inspecting.inspect(held),
            cached=terms.cached,
        )
        return judge_evidence(evidence, settings=terms.gate)


def gather(
    candidate: Artifact,
    baseline: Artifact,
    *,
    evaluations: tuple[Evaluation, Evaluation],
    inspection: Inspection,
    cached: bool = True,
) -> GateEvidence:
    """Return the evidence: inspect the baseline and compare the weights, unless this was seen before.

    Args:
        candidate: the INT8 artifact.
        baseline: the FP32 artifact.
        evaluations: of the candidate and of the baseline.
        inspection: of the candidate.
        cached: False: the cache is neither read nor written.

    Raises:
        ArtifactError: a model cannot be opened, or `calibration.json` has no list of ids.
        EvaluationError: a logit of the baseline is NaN or infinite.
    """
    baseline_inspection = kept(
        "inspections",
        inspecting.ingredients(baseline, None, DataPlaces(data_dir=None)).key("inspect"),
        lambda: inspecting.inspect(baseline),
        read=Inspection.model_validate,
        write=Inspection.as_json,
        cached=cached,
    )
    lineage = kept(
        "lineages",
        tracing.ingredients(candidate, baseline).key("lineage"),
        lambda: tracing.lineage(candidate, baseline),
        read=Lineage.model_validate,
        write=Lineage.as_json,
        cached=cached,
    )
    return evidence_of(
        candidate,
        baseline,
        evaluations=evaluations,
        inspections=(inspection, baseline_inspection),
        lineage=lineage,
    )


def judge_evidence(evidence: GateEvidence, *, settings: GateSettings) -> GateReport:
    """Judge, and leave the reports in the candidate and the summary where continuous integration shows it.

    Raises:
        QuantkitError: as `gate` and `write_reports` do.
    """
    report = gate(evidence, settings=settings)
    write_reports(report, evidence)
    append_summary(report)
    return report
