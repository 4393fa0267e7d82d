"""Gains of the two tables: an artifact against its FP32, the first INT8 and the first FP32 of a comparison."""

import statistics
from collections.abc import Mapping

from quantkit.records.comparison import Against, Entry, Gain


def gains(entry: Entry, entries: Mapping[str, Entry], first_measured: str | None) -> tuple[Gain, ...]:
    """Return the gains of one entry; none against itself, and none twice against the same artifact.

    Args:
        entry: whose gains.
        entries: digest → entry, in the order of the comparison.
        first_measured: digest of the first artifact of the measurement that the throughputs come from.
    """
    of_kind = {kind: [one for one in entries.values() if one.precision == kind] for kind in ("fp32", "int8")}
    asked: list[tuple[Against, Entry]] = []
    if entry.precision == "int8":
        if entry.reference is not None:
            asked.append(("its FP32", entries[entry.reference]))
        asked.append(("the first INT8", of_kind["int8"][0]))
    if of_kind["fp32"]:
        asked.append(("the first FP32", of_kind["fp32"][0]))
    found: dict[str, Gain] = {}
    for against, other in asked:
        if other.artifact != entry.artifact and other.artifact not in found:
            found[other.artifact] = _gain(entry, other, against, first_measured)
    return tuple(found.values())


def _gain(entry: Entry, other: Entry, against: Against, first_measured: str | None) -> Gain:
    both = entry.score is not None and other.score is not None
    return Gain(
        against=against,
        artifact=other.artifact,
        name=other.name,
        score_points=entry.score - other.score if both else None,  # type: ignore[operator]
        score_ratio=_ratio(entry.score, other.score),
        parameters=_ratio(entry.parameters, other.parameters),
        size=entry.size_bytes / other.size_bytes,
        throughput=_throughput(entry, other, first_measured),
        throughput_bounds=entry.throughput_bounds if other.artifact == first_measured else None,
    )


def _throughput(entry: Entry, other: Entry, first_measured: str | None) -> float | None:
    """Return the median ratio over rounds; where no rounds were kept, that of the ratios to its first artifact."""
    if entry.throughput_ratio is None or other.throughput_ratio is None:
        return None
    if other.artifact == first_measured:
        return entry.throughput_ratio
    if entry.throughput_rounds and len(entry.throughput_rounds) == len(other.throughput_rounds):
        rounds = zip(entry.throughput_rounds, other.throughput_rounds, strict=True)
        return statistics.median(rate / reference for rate, reference in rounds)
    return _ratio(entry.throughput_ratio, other.throughput_ratio)


def _ratio(value: float | None, other: float | None) -> float | None:
    return None if value is None or not other else value / other
