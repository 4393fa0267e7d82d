"""The comparison as rows: what was measured of each artifact, and the Markdown table of them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NAMES = {"onnxruntime": "ORT", "openvino": "OpenVINO"}
HEADER = (
    "artifact",
    "runs in",
    "F1",
    "EM",
    "ratio",
    "questions changed",
    "INT8 coverage",
    "throughput",
    "time to quantize",
    "peak memory",
    "size",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """F1 and exact match of every question, 0 to 1, in the order of the dataset."""

    f1: tuple[float, ...]
    exact_match: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What quantizing took: wall seconds and the peak resident memory of the process, in 10^6 bytes."""

    seconds: float
    peak_mb: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One artifact of the model.

    Attributes:
        name: what it is called.
        runtime: a key of `NAMES`.
        precision: what the runtime computes in where it is not INT8, for OpenVINO.
        f1: percent; so is `exact_match`.
        ratio: F1 as a share of the baseline's, in percent.
        changed: share of questions whose F1 is not the baseline's, in percent.
        coverage: share of the linear layers' work that ran in integer kernels, in percent.
        throughput: throughput as a multiple of the baseline's, the median over rounds.
        spread: the smallest and the largest round.
        cost: what quantizing took; None when nothing was quantized.
        size_mb: the model's files, in 10^6 bytes.
        error: why there is nothing more, or what could not be found out.
    """

    name: str
    runtime: str
    precision: str | None = None
    f1: float | None = None
    exact_match: float | None = None
    ratio: float | None = None
    changed: float | None = None
    coverage: float | None = None
    throughput: float | None = None
    spread: tuple[float, float] | None = None
    cost: Cost | None = None
    size_mb: float | None = None
    error: str | None = None


def percent(values: Sequence[float]) -> float:
    """Return the mean of values from 0 to 1, in percent."""
    return 100.0 * statistics.fmean(values)


def changed_share(scores: Scores, baseline: Scores) -> float:
    """Return the share of questions whose F1 differs, in percent."""
    pairs = zip(scores.f1, baseline.f1, strict=True)
    return 100.0 * sum(mine != theirs for mine, theirs in pairs) / len(baseline.f1)


def against(seconds: Sequence[float], baseline: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Return the throughput ratio to the baseline: median over rounds, (smallest, largest).

    A ratio is taken within a round, between passes close in time.
    """
    ratios = [theirs / mine for mine, theirs in zip(seconds, baseline, strict=True)]
    return statistics.median(ratios), (min(ratios), max(ratios))


def markdown(rows: Sequence[Row]) -> str:
    """Return the table, and below it what failed."""
    lines = [_line(HEADER), "|" + "---|" * len(HEADER)]
    lines += [_line(_cells(row)) for row in rows]
    notes = [f"* {row.name}: {row.error}" for row in rows if row.error]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> tuple[str, ...]:
    runtime = NAMES[row.runtime] + (f", {row.precision}" if row.precision else "")
    return (
        row.name,
        runtime,
        "failed" if row.f1 is None else f"{row.f1:.3f}",
        _number(row.exact_match, ".3f"),
        _number(row.ratio, ".3f", " %"),
        _number(row.changed, ".1f", " %"),
        _number(row.coverage, ".1f", " %"),
        _number(row.throughput, ".2f")
        + (f" ({row.spread[0]:.2f} to {row.spread[1]:.2f})" if row.spread else ""),
        _number(row.cost.seconds if row.cost else None, ".1f", " s"),
        _number(row.cost.peak_mb if row.cost else None, ",.0f", " MB"),
        _number(row.size_mb, ".1f", " MB"),
    )


def _number(value: float | None, digits: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{digits}}{unit}"
