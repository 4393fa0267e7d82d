"""Pairs: what kernels that add two products in 16 bits ask of the weights.

x86 without VNNI multiplies uint8 activations by int8 weights with vpmaddubsw: the products of inputs 2i and 2i + 1 of a
column are added in signed 16 bits, which saturate, and pairs in 32. Where the positive weights of every pair sum to at
most 128, and the negative ones to at least -128, no activation can saturate it: 255 · 128 = 32,640 < 32,767. Inputs are
counted from 0, and with an odd number of them the last is a pair of its own.
"""

import numpy as np

PAIR_LIMIT = 128


def pair_sums(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what the positive entries of each pair of rows sum to, and the negative ones, of [inputs, outputs].

    Both are [pairs, outputs], of the matrix's type; of 32 bits for integers.
    """
    entries = matrix.astype(np.int32) if np.issubdtype(matrix.dtype, np.integer) else matrix
    begins = np.arange(0, len(entries), 2)
    positive: np.ndarray = np.add.reduceat(np.maximum(entries, 0), begins, axis=0)
    negative: np.ndarray = np.add.reduceat(np.minimum(entries, 0), begins, axis=0)
    return positive, negative


def extreme_pair_sums(weights: np.ndarray) -> tuple[int, int]:
    """Return the least and the largest sum of one sign over all pairs of integer weights [inputs, outputs]."""
    positive, negative = pair_sums(weights)
    return int(negative.min(initial=0)), int(positive.max(initial=0))


def keeps_pair_limit(weights: np.ndarray) -> bool:
    """Tell whether the sums over integer weights [inputs, outputs] are exact for any activations."""
    return within_pair_limit(*extreme_pair_sums(weights))


def within_pair_limit(least: int, largest: int) -> bool:
    """Tell whether the extreme sums of a weight's pairs are those of a weight that is exact for any activations."""
    return least >= -PAIR_LIMIT and largest <= PAIR_LIMIT
