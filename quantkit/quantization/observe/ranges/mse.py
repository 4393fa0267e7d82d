"""MSE: the range with the smallest mean squared error of quantizing and dequantizing the values."""

import numpy as np

from quantkit.quantization.affine import affine_uint8
from quantkit.quantization.observe.histogram import Histogram

_SHRINK = np.linspace(1.0, 0.02, 50)
_ROUNDS = 3


def estimate(histogram: Histogram, percentile: float) -> tuple[float, float]:  # noqa: ARG001 - common signature
    """Return the range with the smallest squared error, by coordinate descent over both ends.

    The error is Σ counts·(x - dequantize(quantize(x)))² over the bin centres, which has a rounding part
    (scale²/12 a value) and a clipping part; see Banner et al. 2019, "Post training 4-bit quantization of
    convolutional networks", for the two-term form. Each end is shrunk in 50 steps with the other held.
    """
    values, counts = histogram.centers(), histogram.counts.astype(np.float64)
    ends = [min(histogram.low, 0.0), max(histogram.high, 0.0)]
    best = _error(values, counts, ends[0], ends[1])
    for _ in range(_ROUNDS):
        before = best
        for end in (0, 1):
            widest = (min(histogram.low, 0.0), max(histogram.high, 0.0))[end]
            for factor in _SHRINK:
                trial = list(ends)
                trial[end] = widest * float(factor)
                error = _error(values, counts, trial[0], trial[1])
                if error < best:
                    best, ends = error, trial
        if best == before:
            break
    return ends[0], ends[1]


def _error(values: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    """Return the squared error of uint8 quantization over [low, high]."""
    scale, zero_point = affine_uint8(low, high)
    levels = np.clip(np.rint(values / scale) + zero_point, 0, 255)
    return float(np.dot(counts, np.square((levels - zero_point) * scale - values)))
