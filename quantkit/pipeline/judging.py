"""Evaluate and inspect both sides, compare their weights, judge: `quantkit gate`, composed above the stages."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.sealed import kept
from quantkit.pipeline.confined import Confined
from quantkit.recipe.settings import EvaluateSettings, GateSettings
from quantkit.records import Evaluation, GateReport, Inspection, Lineage
from quantkit.runtime.confinement import Limits
from quantkit.runtime.hold import hold
from quantkit.stages import inspect as inspecting
from quantkit.stages import lineage as tracing
from quantkit.stages.evaluate import evaluate
from quantkit.stages.gate import GateEvidence, append_summary, evidence_of, gate, write_reports
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.own_metric import OwnMetric


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """On which data and by which rules a candidate is judged, and whether the cache may answer.

    Attributes:
        limits: of the process that works on both artifacts; None: they are trusted, and this process does.
        own: the metric that `evaluate` names; this process runs it, on answers.
    """

    evaluate: EvaluateSettings
    gate: GateSettings
    cached: bool = True
    limits: Limits | None = None
    own: OwnMetric | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hands:
    """Who looks into models: this process, or a confined one."""

    inspect: Callable[[Artifact], Inspection]
    lineage: Callable[[Artifact, Artifact], Lineage]

    @classmethod
    def here(cls) -> "Hands":
        """Return those of this process."""
        return cls(inspect=inspecting.inspect, lineage=tracing.lineage)


def judge(candidate: Artifact, baseline: Artifact, *, terms: Terms, data_dir: Path | None) -> GateReport:
    """Judge a candidate against its baseline; evaluations that are there already are not made again.

    The candidate is held from the beginning: the verdict is of the bytes that were there then.

    Raises:
        QuantkitError: as the stages do.
    """
    with contextlib.ExitStack() as stack:
        elsewhere, hands = None, Hands.here()
        if terms.limits is not None:
            confined = stack.enter_context(Confined(terms.limits, (candidate, baseline)))
            elsewhere = confined.evaluate
            hands = Hands(inspect=confined.inspect, lineage=confined.lineage)
        held = stack.enter_context(hold(candidate, read=terms.limits is None))
        theirs, ours = (
            evaluate(
                artifact,
                settings=terms.evaluate,
                data_dir=data_dir,
                cached=terms.cached,
                elsewhere=elsewhere,
                own=terms.own,
            )
            for artifact in (baseline, held)
        )
        evidence = gather(
            held,
            baseline,
            evaluations=(ours, theirs),
            inspection=_inspected(held, hands, cached=terms.cached),
            cached=terms.cached,
            hands=hands,
        )
        return judge_evidence(evidence, settings=terms.gate)


def gather(
    candidate: Artifact,
    baseline: Artifact,
    *,
    evaluations: tuple[Evaluation, Evaluation],
    inspection: Inspection,
    cached: bool = True,
    hands: Hands | None = None,
) -> GateEvidence:
    """Return the evidence: inspect the baseline and compare the weights, unless this was seen before.

    Args:
        candidate: the INT8 artifact.
        baseline: the FP32 artifact.
        evaluations: of the candidate and of the baseline.
        inspection: of the candidate.
        cached: False: the cache is neither read nor written.
        hands: who inspects and compares; None: this process.

    Raises:
        ArtifactError: a model cannot be opened, or `calibration.json` has no list of ids.
        EvaluationError: a logit of the baseline is NaN or infinite.
    """
    hands = hands or Hands.here()
    baseline_inspection = _inspected(baseline, hands, cached=cached)
    lineage = kept(
        "lineages",
        tracing.ingredients(candidate, baseline).key("lineage"),
        lambda: hands.lineage(candidate, baseline),
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


def _inspected(artifact: Artifact, hands: Hands, *, cached: bool) -> Inspection:
    return kept(
        "inspections",
        inspecting.ingredients(artifact, None, DataPlaces(data_dir=None)).key("inspect"),
        lambda: hands.inspect(artifact),
        read=lambda content: _of_manifest(Inspection.model_validate(content), artifact),
        write=Inspection.as_json,
        cached=cached,
    )


def _of_manifest(inspection: Inspection, artifact: Artifact) -> Inspection:
    """Return an inspection that says of the artifact what its manifest says, which its digest does not cover.

    Raises:
        ValueError: it says something else: it is of another manifest over the same files.
    """
    said = (inspection.architecture, inspection.task, inspection.precision, inspection.expected_fusions)
    manifest = artifact.manifest
    if said != (manifest.architecture, manifest.task, manifest.precision, manifest.expected_fusions):
        raise ValueError("it is of another manifest")
    return inspection


def judge_evidence(evidence: GateEvidence, *, settings: GateSettings) -> GateReport:
    """Judge, and leave the reports in the candidate and the summary where continuous integration shows it.

    Raises:
        QuantkitError: as `gate` and `write_reports` do.
    """
    report = gate(evidence, settings=settings)
    write_reports(report, evidence)
    append_summary(report)
    return report
