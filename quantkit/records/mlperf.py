"""MlperfReport: what LoadGen measured, what a submission made of it holds, and what would be rejected."""

from typing import Any, Literal

from pydantic import Field

from quantkit.errors import FAILED, PASSED
from quantkit.records.gate import Check
from quantkit.records.record import Record, Report

MlperfVerdict = Literal["pass", "fail", "not-submittable"]
EXIT_CODES: dict[MlperfVerdict, int] = {"pass": PASSED, "fail": FAILED, "not-submittable": PASSED}


class AccuracyRun(Record):
    """One AccuracyOnly run: every sample answered once, scored as SQuAD."""

    f1: float = Field(description="in percent, unrounded")
    exact_match: float
    samples: int
    seconds: float
    log_sha256: str = Field(description="of the whole mlperf_log_accuracy.json")


class PerformanceRun(Record):
    """One PerformanceOnly run, as LoadGen's detail log tells it."""

    valid: bool = Field(description="LoadGen's verdict")
    invalid_because: str = ""
    samples_per_second: float | None = Field(default=None, description="Offline's result")
    early_stopping_ms: float | None = Field(
        default=None, description="SingleStream's result: p90 that early stopping vouches for"
    )
    latency_ms: dict[str, float] = Field(default={}, description="p50, p90 and p99 of a query")
    samples: int = Field(description="samples that were issued and answered")
    target: float = Field(description="Offline: target samples per second; SingleStream: target milliseconds")
    min_duration_ms: int = Field(description="as LoadGen took it")
    seeds: dict[str, int | None] = {}
    loadgen: str
    seconds: float


class ScenarioRuns(Record):
    """The runs of one scenario."""

    scenario: Literal["offline", "single-stream"]
    profile: dict[str, Any] = Field(description="instances, threads and batches")
    accuracy: AccuracyRun | None = None
    performance: PerformanceRun | None = None


class MlperfReport(Report):
    """LoadGen's runs of one artifact, and what of them would be rejected.

    `verdict` is `not-submittable` when the runs were never meant as a result (`not_submittable` says why), `fail` when
    a submission made of them would be rejected, or should be.
    """

    format: str = Field(default="quantkit/mlperf/1", alias="schema")
    verdict: MlperfVerdict
    not_submittable: tuple[str, ...] = Field(default=(), description="why no result; empty: it may be one")
    artifact: str = Field(description="digest of the artifact")
    dataset: str = Field(description="digest of the dataset")
    dataset_name: str
    questions: int
    samples: int
    benchmark: str
    division: str
    submitter: str
    system: str
    reference_f1: float = Field(description="in percent")
    reference: str = Field(description="whose F1 that is")
    runs: tuple[ScenarioRuns, ...]
    checks: tuple[Check, ...]
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}

    @property
    def exit_code(self) -> int:
        """0 passed or never meant as a result, 3 would be rejected."""
        return EXIT_CODES[self.verdict]
