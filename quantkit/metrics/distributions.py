"""How far a model's distributions are from another's, and what score it may expect of its own."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Logits = Sequence[NDArray[Any]]


def divergence(reference: Sequence[Logits], found: Sequence[Logits]) -> float:
    """Return the mean Kullback-Leibler divergence from `reference` over rows and outputs, in nats.

    Each output of a row is the logits of one distribution: of the start over tokens, of the label over classes. Logits
    [tokens, labels] are a distribution for each token, and count as their mean.

    Args:
        reference: for each row its outputs, logits, one-dimensional or [tokens, labels].
        found: the same rows and outputs of another model.
    """
    each = [
        _divergence(wanted, other)
        for wanted_row, other_row in zip(reference, found, strict=True)
        for wanted, other in zip(wanted_row, other_row, strict=True)
    ]
    # Never negative but for rounding.
    return max(0.0, math.fsum(each) / len(each))


def ratio_bound(
    reference: Sequence[float], found: Sequence[float], *, confidence: float
) -> tuple[float, float]:
    """Return the ratio of two sums over the same examples, and its one-sided lower confidence bound.

    By the delta method: the ratio's standard error is that of the mean of found - ratio · reference, over the mean of
    the reference (Cochran 1977, "Sampling Techniques", section 6.4). Examples count as independent.

    Raises:
        ValueError: the reference sums to nothing.
    """
    base = math.fsum(reference)
    if base <= 0:
        raise ValueError("the reference score is 0")
    ratio = math.fsum(found) / base
    if len(reference) < 2:
        return ratio, -math.inf
    residuals = [other - ratio * wanted for wanted, other in zip(reference, found, strict=True)]
    error = statistics.stdev(residuals) / math.sqrt(len(residuals)) / (base / len(residuals))
    return ratio, ratio - statistics.NormalDist().inv_cdf(confidence) * error


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of one-dimensional logits, float64."""
    powers = np.exp(logits.astype(np.float64) - np.max(logits))
    result: NDArray[np.float64] = powers / powers.sum()
    return result


def _divergence(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    one, other = _log_softmax(wanted), _log_softmax(found)
    return float(np.sum(np.exp(one) * (one - other))) / (len(wanted) if wanted.ndim == 2 else 1)


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    if logits.ndim == 2:
        moved = logits.astype(np.float64) - np.max(logits, axis=1, keepdims=True)
        each: NDArray[np.float64] = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
        return each
    shifted = logits.astype(np.float64) - np.max(logits)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result
