"""Records: what was observed of an artifact, frozen; a `Report` is also a JSON file that other programs rely on.

A record is imported when it is first asked for: building the models of all takes as long as verifying a release.
How records look to people, in words, tables and pictures, is in `quantkit.report`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantkit.records.bench import BenchReport, BenchResult
    from quantkit.records.comparison import Comparison, Entry, Gain
    from quantkit.records.distill import DistillReport
    from quantkit.records.evaluation import Evaluation, QuestionScore, scores_digest
    from quantkit.records.gate import Check, GateReport, Interval
    from quantkit.records.inspection import EncoderLayer, Inspection, Layer
    from quantkit.records.lineage import Lineage, WeightAgreement
    from quantkit.records.mlperf import AccuracyRun, MlperfReport, PerformanceRun, ScenarioRuns
    from quantkit.records.record import Record, Report
    from quantkit.records.search import CandidateRecord, GroupRecord, OptionRecord, SearchReport
    from quantkit.records.sensitivity import GroupSensitivity, Sensitivity
    from quantkit.records.shapes import Sanity, ShapeBlock, ShapeCandidate, ShapeOption, ShapeSearch
    from quantkit.records.student import LayerUnits, Student
    from quantkit.records.tune import TuneReport, TuneTrial

__all__ = [
    "AccuracyRun",
    "BenchReport",
    "BenchResult",
    "CandidateRecord",
    "Check",
    "Comparison",
    "DistillReport",
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
    "Sanity",
    "ScenarioRuns",
    "SearchReport",
    "Sensitivity",
    "ShapeBlock",
    "ShapeCandidate",
    "ShapeOption",
    "ShapeSearch",
    "Student",
    "TuneReport",
    "TuneTrial",
    "WeightAgreement",
    "scores_digest",
]


_PLACES = {
    "AccuracyRun": "mlperf",
    "BenchReport": "bench",
    "BenchResult": "bench",
    "CandidateRecord": "search",
    "Check": "gate",
    "Comparison": "comparison",
    "DistillReport": "distill",
    "EncoderLayer": "inspection",
    "Entry": "comparison",
    "Evaluation": "evaluation",
    "Gain": "comparison",
    "GateReport": "gate",
    "GroupRecord": "search",
    "GroupSensitivity": "sensitivity",
    "Inspection": "inspection",
    "Interval": "gate",
    "Layer": "inspection",
    "LayerUnits": "student",
    "Lineage": "lineage",
    "MlperfReport": "mlperf",
    "OptionRecord": "search",
    "PerformanceRun": "mlperf",
    "QuestionScore": "evaluation",
    "Record": "record",
    "Report": "record",
    "Sanity": "shapes",
    "ScenarioRuns": "mlperf",
    "SearchReport": "search",
    "Sensitivity": "sensitivity",
    "ShapeBlock": "shapes",
    "ShapeCandidate": "shapes",
    "ShapeOption": "shapes",
    "ShapeSearch": "shapes",
    "Student": "student",
    "TuneReport": "tune",
    "TuneTrial": "tune",
    "WeightAgreement": "lineage",
    "scores_digest": "evaluation",
}


def __getattr__(name: str) -> Any:
    """Import a record from its module."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found
