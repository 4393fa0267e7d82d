"""GateReport: requirement, observation, verdict."""

from typing import Any, Literal

from pydantic import Field

from quantkit.errors import FAILED, INCONCLUSIVE, PASSED
from quantkit.report.report import Record, Report

Verdict = Literal["pass", "fail", "inconclusive"]
EXIT_CODES: dict[Verdict, int] = {"pass": PASSED, "fail": FAILED, "inconclusive": INCONCLUSIVE}


class Check(Record):
    """One requirement and what was observed; numbers as numbers, unrounded."""

    name: str
    required: str
    observed: str
    verdict: Verdict


class Interval(Record):
    """A two-sided interval of the F1 ratio from the paired bootstrap clustered by article."""

    low: float
    high: float
    confidence: float


class GateReport(Report):
    """The verdict on one candidate (`artifact`) against one baseline, on one dataset."""

    format: str = Field(default="quantkit/gate/1", alias="schema")
    verdict: Verdict
    policy: Literal["mlperf", "statistical"]
    artifact: str = Field(description="digest of the candidate")
    baseline: str = Field(description="digest of the baseline artifact")
    dataset: str = Field(description="digest of the dataset")
    dataset_name: str
    questions: int
    excluded: int = Field(description="questions left out of both sides because they were calibrated on")
    min_ratio: float
    ratio: float
    baseline_f1: float
    candidate_f1: float
    changed: float = Field(description="share of questions whose F1 changed")
    interval: Interval
    p_value: float = Field(description="one-sided bootstrap p of ratio < min_ratio")
    questions_needed: int | None = Field(description="questions for 80 % power at this change rate; None: no change seen")
    checks: tuple[Check, ...]
    settings: dict[str, Any] = {}
    tools: dict[str, str] = {}

    @property
    def exit_code(self) -> int:
        """0 passed, 3 failed, 4 inconclusive."""
        return EXIT_CODES[self.verdict]
