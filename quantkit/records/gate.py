"""GateReport: requirement, observation, verdict."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from quantkit.errors import FAILED, INCONCLUSIVE, PASSED
from quantkit.records.evaluation import UNNAMED
from quantkit.records.record import Record, Report

Verdict = Literal["pass", "fail", "inconclusive"]
FIRST_SCHEMA = "quantkit/gate/1"
EXIT_CODES: dict[Verdict, int] = {"pass": PASSED, "fail": FAILED, "inconclusive": INCONCLUSIVE}
OF_A_STUDENT = "a student of the baseline's checkpoint, same tokenizer, FP32"
"""What the check `lineage` requires where the gate judges a student; its report says by it that it did."""


class Check(Record):
    """One requirement and what was observed; numbers as numbers, unrounded."""

    name: str
    required: str
    observed: str
    verdict: Verdict
    decides: bool = Field(default=True, description="false: shown, but the policy in force does not count it")


class Interval(Record):
    """A two-sided interval of the F1 ratio from the paired bootstrap clustered by article.

    `confidence` is two-sided: 0.9 when each bound holds with the usual one-sided 95 %.
    """

    low: float
    high: float
    confidence: float


class GateReport(Report):
    """The verdict on one candidate (`artifact`) against one baseline, on one dataset."""

    # The first schema had fewer checks, and no evidence of the baseline beside it: it can be shown, not published.
    upgrades: ClassVar[Mapping[str, Callable[[Any], Any]]] = {FIRST_SCHEMA: dict}
    format: str = Field(default="quantkit/gate/2", alias="schema")
    verdict: Verdict
    policy: Literal["mlperf", "statistical"]
    artifact: str = Field(description="digest of the candidate")
    baseline: str = Field(description="digest of the baseline artifact")
    dataset: str = Field(description="digest of the dataset")
    dataset_name: str
    questions: int
    excluded: int = Field(description="questions left out of kept_ratio: they were calibrated on")
    min_ratio: float
    reference_f1: float | None = Field(default=None, description="fixed reference; None: the baseline's F1")
    ratio: float = Field(description="candidate F1 / reference F1 over all questions, unrounded")
    metric: str = Field(default=UNNAMED, description="the name of the metric that every f1 here is")
    own_metric: str | None = Field(
        default=None,
        description="sha256 of the source file of a metric of the user's own; not in the file without one",
    )
    baseline_f1: float
    candidate_f1: float
    changed: float = Field(description="share of questions whose F1, or answer, changed")
    kept_ratio: float = Field(description="the ratio over the questions that were not calibrated on")
    interval: Interval = Field(description="interval of kept_ratio")
    p_value: float = Field(description="one-sided bootstrap p of ratio < min_ratio; small: proven")
    resampled: Literal["article", "question"] = Field(description="what the bootstrap resampled")
    clusters: int = Field(description="articles among the questions that were not calibrated on")
    design_effect: float = Field(description="variance by article / variance by question, at least 1")
    questions_needed: int | None = Field(
        description="questions for 80 % power at this change rate; None: no change seen, or no margin"
    )
    checks: tuple[Check, ...]
    settings: dict[str, Any] = {}
    tools: dict[str, str] = {}

    @model_serializer(mode="wrap")
    def _serialized(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = write(self)
        if self.metric == UNNAMED:
            content.pop("metric", None)
        if self.own_metric is None:
            content.pop("own_metric", None)
        return content

    @property
    def exit_code(self) -> int:
        """0 passed, 3 failed, 4 inconclusive."""
        return EXIT_CODES[self.verdict]
