"""The check of a metric of the user's own: which code it was, and that it told questions apart.

A verdict is judged again from the scores that were recorded, and no code is run for it: whose code it was is said, and
not proven. Where the function gave one number for all questions there is no score to judge again.
"""

from quantkit.records import Check, Evaluation
from quantkit.report.digits import short
from quantkit.verdict.evidence import GateEvidence


def scored_by_row(evaluation: Evaluation) -> bool:
    """Return whether each question has a score of its own, which resampling needs."""
    return evaluation.own_metric is None or evaluation.own_metric.by_row


def check_own_metric(evidence: GateEvidence) -> tuple[Check, ...]:
    """Say which function scored, and the sha256 of its file; nothing for a task's own metric."""
    evaluation = evidence.candidate_evaluation
    own = evaluation.own_metric
    if own is None:
        return ()
    given = "a score for each question" if own.by_row else "one number for all questions"
    return (
        Check(
            name="own metric",
            required="one function for both sides",
            observed=f"{evaluation.metric} of {own.file}, sha256 {short(own.sha256)}, gave {given}",
            verdict="pass",
        ),
    )
