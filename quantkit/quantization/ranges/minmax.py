"""MinMax: everything that was seen, without clipping."""

from quantkit.quantization.histogram import Histogram


def estimate(histogram: Histogram, percentile: float) -> tuple[float, float]:  # noqa: ARG001 - common signature
    """Return the exact smallest and largest value seen."""
    return histogram.low, histogram.high
