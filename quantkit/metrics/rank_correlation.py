"""Pearson's and Spearman's correlation of numbers that count several times each, as a bootstrap draws them.

A weight of 2 is the number written twice: `spearman(x, y, weights)` equals `spearman(repeat(x, weights), ...)`. Weights
may have more axes in front, one set of weights for each resample, and then so has the result.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SPREAD = 1e-13  # of a variance to its largest square: below that numbers are all the same but for rounding


def pearson(one: Floats, other: Floats, weights: Floats | None = None) -> Floats:
    """Return Pearson's correlation, -1 to 1; 0 where one side is constant, so that a dead model has none.

    Args:
        one: float64 [n], or [..., n] as the weights.
        other: the same numbers of another source.
        weights: [..., n], how often each counts, never negative; None: once.

    Returns:
        float64 [...]: one for each set of weights.
    """
    counts = np.ones(one.shape[-1]) if weights is None else weights
    total = np.maximum(counts.sum(axis=-1, keepdims=True), 1.0)
    left = one - (counts * one).sum(axis=-1, keepdims=True) / total
    right = other - (counts * other).sum(axis=-1, keepdims=True) / total
    spreads = [(counts * side * side).sum(axis=-1) for side in (left, right)]
    flat = [
        spread <= _SPREAD * total[..., 0] * np.max(np.abs(side), axis=-1, initial=0.0) ** 2
        for spread, side in zip(spreads, (one, other), strict=True)
    ]
    product = np.sqrt(spreads[0]) * np.sqrt(spreads[1])
    constant = flat[0] | flat[1] | (product == 0)
    shared = (counts * left * right).sum(axis=-1)
    result: Floats = np.where(constant, 0.0, shared / np.where(constant, 1.0, product))
    return np.clip(result, -1.0, 1.0)


def spearman(one: Floats, other: Floats, weights: Floats | None = None) -> Floats:
    """Return Spearman's correlation, Pearson's of the ranks; takes and returns what `pearson` does."""
    return pearson(ranks(one, weights), ranks(other, weights), weights)


def ranks(values: Floats, weights: Floats | None = None) -> Floats:
    """Return the ranks of numbers from 1, equal numbers having the mean of theirs.

    Args:
        values: float64 [n].
        weights: [..., n], how often each number is there; None: once.

    Returns:
        float64 [..., n]; of a number that is not there (weight 0) the rank it would have in between.
    """
    counts = np.ones(len(values)) if weights is None else weights
    _, kinds = np.unique(values, return_inverse=True)
    order = np.argsort(kinds, kind="stable")
    starts = np.flatnonzero(np.diff(kinds[order], prepend=-1))
    each = np.add.reduceat(counts[..., order], starts, axis=-1)
    upto = np.cumsum(each, axis=-1)
    result: Floats = (upto - each + (each + 1) / 2)[..., kinds]
    return result
