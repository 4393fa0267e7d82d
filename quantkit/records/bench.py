"""BenchReport: throughput and latency of artifacts measured side by side."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from quantkit.records.record import Record, Report, renamed, within

BenchVerdict = Literal["measured", "too noisy"]


class BenchResult(Record):
    """One artifact: median throughput, latency percentiles, ratio to the first artifact with its spread."""

    artifact: str
    name: str
    precision: Literal["fp32", "int8"] | None = None
    parent: str | None = Field(default=None, description="digest of the artifact it was made from")
    qps: float = Field(description="windows per second, median over rounds")
    latency_ms: dict[str, float] = Field(
        default={}, description="p50, p90, p99 of one query (single-stream, server)"
    )
    ratio: float | None = Field(
        description="median over rounds of qps / qps of the first artifact in the same round; null when too noisy"
    )
    spread: tuple[float, float] = Field(description="smallest and largest of these ratios")
    interval: tuple[float, float] | None = Field(
        default=None, description="encloses the median of these ratios with 90 %"
    )
    noise: float | None = Field(default=None, description="width of this interval, relative to the median")
    rates: tuple[float, ...] = Field(default=(), description="windows per second in each round")
    profile: dict[str, Any] = Field(
        default={},
        description="how it ran: runtime, engine, instances, threads, token budget, precision of what is float",
    )


def _from_1(content: Any) -> Any:
    return within(renamed(content, samples="windows"), "results", lambda each: renamed(each, runs="profile"))


class BenchReport(Report):
    """Interleaved rounds A B A B …; the first artifact is the reference of every ratio."""

    upgrades: ClassVar = {"quantkit/bench/1": _from_1}
    format: str = Field(default="quantkit/bench/2", alias="schema")
    scenario: str
    verdict: BenchVerdict = "measured"
    dataset_name: str
    dataset: str
    windows: int = Field(description="of each pass or trial")
    repeats: int
    threads: int
    max_spread: float | None = Field(default=None, description="widest relative interval that is reported")
    latency_bound_ms: float | None = Field(default=None, description="of the server scenario")
    results: tuple[BenchResult, ...]
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}
