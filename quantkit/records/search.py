"""SearchReport: what `--mode auto` tried, what it measured, what it chose and why."""

from typing import Any, ClassVar

from pydantic import Field

from quantkit.records.record import Record, Report, renamed, within
from quantkit.records.sensitivity import GroupSensitivity


class OptionRecord(Record):
    """One option of one group: a choice with its predicted damage and its measured cost."""

    label: str = Field(description="of the choice, such as 'static', 'blockwise 128', 'float'")
    damage: float = Field(
        description="nats, from the group's damage as measured and the choice's noise on calibration data"
    )
    sqnr_db: float = Field(description="10 log10(signal / noise) at the group's output")
    cost_us: float = Field(description="microseconds per 1,000 tokens on one thread, measured here")


class GroupRecord(Record):
    """One group with all its options; `chosen` is the label of the one the result uses."""

    group: str
    sensitivity: GroupSensitivity
    options: tuple[OptionRecord, ...]
    chosen: str


class CandidateRecord(Record):
    """One assignment of choices to groups, built and judged on the selection questions."""

    number: int
    origin: str = Field(
        description="where it comes from, such as 'fastest options' or 'damage <= 0.0031 nats'"
    )
    choices: dict[str, int] = Field(description="label → groups that have it")
    predicted_damage: float
    predicted_cost_us: float
    divergence: float = Field(description="nats, mean over windows and outputs")
    changed: float = Field(description="share of the questions whose score changed")
    score: float = Field(description="mean score in percent: F1, or accuracy")
    ratio: float = Field(description="score / FP32 score")
    expected_ratio: float = Field(
        description="the same for the expected score under the model's own distribution"
    )
    expected_ratio_low: float = Field(
        description="its lower confidence bound, from the score itself or from the divergence"
    )
    throughput: float = Field(description="times FP32, median over interleaved passes")
    throughput_spread: tuple[float, float]
    finalist: bool = Field(
        default=False,
        description="timed together with the other finalists and FP32; others beside FP32 alone, each at its time",
    )
    int8_coverage: float
    size_bytes: int
    passed: bool


def _from_1(content: Any) -> Any:
    return within(content, "groups", lambda group: renamed(group, choices="options"))


class SearchReport(Report):
    """The whole search. `met` is False when no candidate passed; the result is then the best there was."""

    upgrades: ClassVar = {"quantkit/search/1": _from_1}
    format: str = Field(default="quantkit/search/2", alias="schema")
    artifact: str = Field(description="digest of the FP32 artifact")
    task: str
    target: float = Field(description="least ratio to the FP32 score")
    confidence: float
    met: bool
    chosen: int = Field(description="number of the candidate that is the result")
    baseline_score: float
    selection: str = Field(description="name of the selection set")
    selection_digest: str
    selection_questions: int
    calibration_digest: str
    calibration_questions: int
    groups: tuple[GroupRecord, ...]
    candidates: tuple[CandidateRecord, ...]
    seconds: dict[str, float] = Field(description="part of the search → seconds")
    peak_memory_mb: float
    target_isa: str
    validated_on: tuple[str, ...] = Field(description="instruction sets it was run on")
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}
