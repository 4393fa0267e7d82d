"""Pairs of inputs: what is summed, and that the limit is the largest that no activation can break."""

import numpy as np
import pytest

from quantkit.graph.pairs import PAIR_LIMIT, extreme_pair_sums, keeps_pair_limit, pair_sums


@pytest.mark.parametrize("kind", [np.int8, np.float32])
def test_sums_of_one_sign(kind: type) -> None:
    """Of inputs 0 and 1, 2 and 3, and the last alone, positive entries are summed and negative ones."""
    matrix = np.array([[100, -3], [100, 5], [-2, 7], [-120, 7], [9, -9]], kind)
    positive, negative = pair_sums(matrix)
    assert positive.tolist() == [[200, 5], [0, 14], [9, 0]]
    assert negative.tolist() == [[0, -3], [-122, 0], [0, -9]]


def test_extremes() -> None:
    """Of int8 weights sums are those of wider integers; a weight without outputs has none."""
    weights = np.array([[-128, 127], [-128, 127]], np.int8)
    assert extreme_pair_sums(weights) == (-256, 254)
    assert extreme_pair_sums(weights[:, :0]) == (0, 0)


def test_the_limit_is_the_largest_that_fits() -> None:
    """The largest activation times the limit fits 16 signed bits, and times one more it does not."""
    assert 255 * PAIR_LIMIT <= np.iinfo(np.int16).max < 255 * (PAIR_LIMIT + 1)


@pytest.mark.parametrize(
    ("weights", "kept"),
    [
        ([127, 1], True),
        ([127, 2], False),
        ([-127, -1], True),
        ([-64, -65], False),
        ([127, -127], True),
        ([5, 127, 127, 1], False),
        ([1, 127, 1, 127, 127], True),
    ],
)
def test_weights_within_the_limit(weights: list[int], kept: bool) -> None:
    """Only neighbours of one sign are summed, and pairs begin at input 0."""
    assert keeps_pair_limit(np.array(weights, np.int8)[:, None]) is kept
