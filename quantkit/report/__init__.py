"""Reports: what was observed of an artifact, as frozen records that are also the JSON files."""

from quantkit.report.bench import BenchReport, BenchResult
from quantkit.report.evaluation import Evaluation, QuestionScore, scores_digest
from quantkit.report.gate import Check, GateReport, Interval
from quantkit.report.inspection import Inspection, Layer
from quantkit.report.search import CandidateRecord, ChoiceRecord, GroupRecord, SearchReport
from quantkit.report.sensitivity import GroupSensitivity, Sensitivity

__all__ = [
    "BenchReport",
    "BenchResult",
    "CandidateRecord",
    "Check",
    "ChoiceRecord",
    "Evaluation",
    "GateReport",
    "GroupRecord",
    "GroupSensitivity",
    "Inspection",
    "Interval",
    "Layer",
    "QuestionScore",
    "SearchReport",
    "Sensitivity",
    "scores_digest",
]
