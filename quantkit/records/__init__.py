"""Records: what was observed of an artifact, frozen; each is also a JSON file that other programs rely on."""

from quantkit.records.bench import BenchReport, BenchResult
from quantkit.records.evaluation import Evaluation, QuestionScore, scores_digest
from quantkit.records.gate import Check, GateReport, Interval
from quantkit.records.inspection import Inspection, Layer
from quantkit.records.search import CandidateRecord, ChoiceRecord, GroupRecord, SearchReport
from quantkit.records.sensitivity import GroupSensitivity, Sensitivity

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
