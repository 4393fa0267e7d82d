"""Reports: what was observed of an artifact, as frozen records that are also the JSON files."""

from quantkit.report.bench import BenchReport, BenchResult
from quantkit.report.evaluation import Evaluation, QuestionScore, scores_digest
from quantkit.report.gate import Check, GateReport, Interval
from quantkit.report.inspection import Inspection, Layer

__all__ = [
    "BenchReport",
    "BenchResult",
    "Check",
    "Evaluation",
    "GateReport",
    "Inspection",
    "Interval",
    "Layer",
    "QuestionScore",
    "scores_digest",
]
