"""BenchReport: throughput and latency of artifacts measured side by side."""

from typing import Any

from pydantic import Field

from quantkit.report.report import Record, Report


class BenchResult(Record):
    """One artifact: median throughput, latency percentiles, ratio to the first artifact with its spread."""

    artifact: str
    name: str
    qps: float = Field(description="samples (windows) per second, median over passes")
    latency_ms: dict[str, float] = Field(default={}, description="p50, p90, p99 of one query (single-stream)")
    ratio: float = Field(
        description="median over passes of qps / qps of the first artifact in the same round"
    )
    spread: tuple[float, float] = Field(description="smallest and largest of these ratios")


class BenchReport(Report):
    """Interleaved rounds A B A B …; the first artifact is the reference of every ratio."""

    format: str = Field(default="quantkit/bench/1", alias="schema")
    scenario: str
    dataset_name: str
    dataset: str
    samples: int
    repeats: int
    threads: int
    results: tuple[BenchResult, ...]
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}
