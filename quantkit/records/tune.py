"""TuneReport: every way to run an artifact that `tune` tried, and the one it chose."""

from typing import Any

from pydantic import Field

from quantkit.records.record import Record, Report


class TuneTrial(Record):
    """One runtime profile in one step of what is tried."""

    step: str = Field(
        description="map, map again (in older files grid, grid again), options, together, final"
    )
    profile: dict[str, Any] = Field(description="the settings of the runtime profile")
    qps: float = Field(description="windows per second, or questions per second that are held")
    ratio: float = Field(description="to the default profile in the same round, median over rounds")
    interval: tuple[float, float] = Field(description="encloses the median with 90 %")
    windows: int = Field(description="rows of each pass or trial")
    rounds: int


class TuneSkipped(Record):
    """A profile that could not be tried, and why."""

    profile: dict[str, Any]
    reason: str


class TuneReport(Report):
    """What was tried, in order, and what came of it."""

    format: str = Field(default="quantkit/tune/1", alias="schema")
    artifact: str
    scenario: str = Field(description="offline, or server: the highest rate within the latency bound")
    latency_bound_ms: float | None = None
    dataset_name: str
    dataset: str
    seconds: float
    reference: dict[str, Any] = Field(description="the profile of every ratio: the default of this machine")
    chosen: dict[str, Any]
    qps: float
    ratio: float
    interval: tuple[float, float]
    sure: bool = Field(description="the interval lies above 1; when not, the default was chosen")
    settled: bool = Field(description="the interval is as narrow as was asked for")
    trials: tuple[TuneTrial, ...]
    skipped: tuple[TuneSkipped, ...] = ()
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}
