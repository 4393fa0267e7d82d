"""Records: what was observed of an artifact, frozen; a `Report` is also a JSON file that other programs rely on.

How records look to people, in words, tables and pictures, is in `quantkit.report`.
"""

from quantkit.records.bench import BenchReport, BenchResult
from quantkit.records.comparison import Comparison, Entry, Gain
from quantkit.records.evaluation import Evaluation, QuestionScore, scores_digest
from quantkit.records.gate import Check, GateReport, Interval
from quantkit.records.inspection import EncoderLayer, Inspection, Layer
from quantkit.records.lineage import Lineage, WeightAgreement
from quantkit.records.mlperf import AccuracyRun, MlperfReport, PerformanceRun, ScenarioRuns
from quantkit.records.record import Record, Report
from quantkit.records.search import CandidateRecord, GroupRecord, OptionRecord, SearchReport
from quantkit.records.sensitivity import GroupSensitivity, Sensitivity
from quantkit.records.student import LayerUnits, Student
from quantkit.records.tune import TuneReport, TuneTrial

__all__ = [
    "AccuracyRun",
    "BenchReport",
    "BenchResult",
    "CandidateRecord",
    "Check",
    "Comparison",
    "EncoderLayer",
    "Entry",
    "Evaluation",
    "Gain",
    "GateReport",
    "GroupRecord",
    "GroupSensitivity",
    "Inspection",
    "Interval",
    "Layer",
    "LayerUnits",
    "Lineage",
    "MlperfReport",
    "OptionRecord",
    "PerformanceRun",
    "QuestionScore",
    "Record",
    "Report",
    "ScenarioRuns",
    "SearchReport",
    "Sensitivity",
    "Student",
    "TuneReport",
    "TuneTrial",
    "WeightAgreement",
    "scores_digest",
]
