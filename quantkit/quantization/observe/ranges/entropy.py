"""Entropy: the clipped range whose 256-level form loses the least information (Kullback-Leibler)."""

import numpy as np

from quantkit.quantization.observe.histogram import Histogram

_SHRINK = np.linspace(1.0, 0.05, 96)
_LEVELS = 256


def estimate(histogram: Histogram, percentile: float) -> tuple[float, float]:  # noqa: ARG001 - common signature
    """Return the range [max(low, -t), min(high, t)] whose threshold t has the smallest KL divergence.

    As in Migacz 2017, "8-bit inference with TensorRT": the reference distribution P collapses what is clipped
    into the outermost kept bins; Q spreads each level's mass evenly over its occupied bins. Magnitudes above t
    are clipped, so an outlier at one end does not cost the other end anything.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    largest = max(-low, high)
    centers, counts = histogram.centers(), histogram.counts.astype(np.float64)
    candidates = [(max(low, -largest * factor), min(high, largest * factor)) for factor in _SHRINK.tolist()]
    losses = [_divergence(centers, counts, *candidate) for candidate in candidates]
    return candidates[int(np.argmin(losses))]


def _divergence(centers: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    """Return KL(P‖Q) in nats; infinite when fewer bins are kept than there are levels to tell apart."""
    inside = (centers >= low) & (centers <= high)
    kept = counts[inside]
    if kept.size < 2 or high <= low:
        return float("inf")
    reference = kept.copy()
    reference[0] += counts[centers < low].sum()
    reference[-1] += counts[centers > high].sum()
    level = np.clip(((centers[inside] - low) / (high - low) * _LEVELS).astype(np.int64), 0, _LEVELS - 1)
    occupied = kept > 0
    mass = np.bincount(level, weights=kept, minlength=_LEVELS)
    bins = np.bincount(level, weights=occupied.astype(np.float64), minlength=_LEVELS)
    spread = np.where(occupied, mass[level] / np.maximum(bins[level], 1.0), 0.0)
    p, q = reference / reference.sum(), spread / max(spread.sum(), 1e-300)
    both = (p > 0) & (q > 0)
    lost = p[(p > 0) & (q <= 0)].sum()
    divergence = float(np.sum(p[both] * np.log(p[both] / q[both])))
    # A clipped value in a bin that Q leaves empty would be infinitely surprising; TensorRT smooths it, so do we.
    return divergence + float(lost) * 20.0
