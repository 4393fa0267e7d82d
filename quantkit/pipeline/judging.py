"""Evaluate both sides, inspect the candidate, judge: what `quantkit gate` does, composed above the stages."""

from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.recipe.settings import EvaluateSettings, GateSettings
from quantkit.records import GateReport
from quantkit.runtime.hold import hold
from quantkit.stages.evaluate import evaluate
from quantkit.stages.gate import GateEvidence, append_summary, gate, write_reports
from quantkit.stages.inspect import inspect


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """On which data and by which rules a candidate is judged."""

    evaluate: EvaluateSettings
    gate: GateSettings


def judge(candidate: Artifact, baseline: Artifact, *, terms: Terms, data_dir: Path | None) -> GateReport:
    """Judge a candidate against its baseline; evaluations that are there already are not made again.

    The candidate is held from the beginning: the verdict is of the bytes that were there then.

    Raises:
        QuantkitError: as the three stages do.
    """
    with hold(candidate) as held:
        return judge_evidence(
            GateEvidence(
                candidate=held,
                baseline=baseline,
                baseline_evaluation=evaluate(baseline, settings=terms.evaluate, data_dir=data_dir),
                candidate_evaluation=evaluate(held, settings=terms.evaluate, data_dir=data_dir),
                inspection=inspect(held),
            ),
            settings=terms.gate,
        )


def judge_evidence(evidence: GateEvidence, *, settings: GateSettings) -> GateReport:
    """Judge, and leave the reports in the candidate and the summary where continuous integration shows it.

    Raises:
        QuantkitError: as `gate` and `write_reports` do.
    """
    report = gate(evidence, settings=settings)
    candidate = evidence.candidate
    if write_reports(report, candidate):
        candidate.keep_report("inspection.json", evidence.inspection.as_json())
    append_summary(report)
    return report
