"""Percentile: clip equal shares of values at both ends. Asymmetric, so that one-sided activations keep their levels."""

import numpy as np

from quantkit.quantization.observe.histogram import Histogram


def estimate(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """Return the range that keeps `percentile` percent of the values, (100 - percentile)/2 cut at each end.

    The bounds are bin edges on the safe side (never inside the kept share), limited to the values seen.
    """
    tail = (100.0 - percentile) / 200.0 * histogram.total
    cumulative = np.cumsum(histogram.counts)
    edges = histogram.edges()
    low = edges[int(np.searchsorted(cumulative, tail, side="right"))]
    high = edges[int(np.searchsorted(cumulative, histogram.total - tail, side="left")) + 1]
    return max(float(low), histogram.low), min(float(high), histogram.high)
