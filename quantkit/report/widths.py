"""What is left of each layer of a searched candidate, in one line; blocks that stay float are marked."""

from collections.abc import Sequence

from quantkit.records import ShapeCandidate, ShapeSearch

FLOAT = "f"
"""Behind a number of units: they are computed in float; without it, as INT8."""
NOTE = f"{FLOAT}: in float; the others are INT8."


def heads_of(one: ShapeCandidate) -> str:
    """Return the heads of every layer."""
    return _line(one, "attention", one.heads)


def feed_forward_of(one: ShapeCandidate) -> str:
    """Return the width of every layer's feed-forward network."""
    return _line(one, "feed_forward", one.feed_forward)


def offers_float(report: ShapeSearch) -> bool:
    """Tell whether blocks might stay float in a search."""
    return any(option.scheme == "float" for block in report.blocks for option in block.options)


def _line(one: ShapeCandidate, kind: str, counts: Sequence[int]) -> str:
    return " ".join(
        f"{count}{FLOAT}" if f"layer.{layer}.{kind}" in one.float_blocks else str(count)
        for layer, count in enumerate(counts)
    )
