"""Rounding: which one a budget affords."""

from types import SimpleNamespace

from quantkit.mixed_precision.affordable import affordable_rounding


def test_rounding_is_what_the_time_affords() -> None:
    """GPTQ when its operations fit into the seconds at this machine's rate, to nearest when they do not."""
    large = [SimpleNamespace(inputs=100_000, outputs=(100_000,))]
    small = [SimpleNamespace(inputs=8, outputs=(8, 8))]
    assert affordable_rounding(large, seconds=60.0) == "nearest"  # type: ignore[arg-type]
    assert affordable_rounding(small, seconds=60.0) == "gptq"  # type: ignore[arg-type]
