"""MRR and NDCG by hand and by their limits."""

import itertools
import math

import numpy as np
import pytest

from quantkit.metrics.ranking import expected_gain, ndcg, random_order, ranking, reciprocal_rank


@pytest.mark.parametrize(
    ("gains", "mrr", "gain"),
    [
        ([1, 0, 0], 1.0, 1.0),
        ([0, 0, 1], 1 / 3, 1 / 2),
        ([0, 0, 0], 0.0, 0.0),
        # 3 + 0 + 1 / 2 over 3 + 1 / log2(3)
        ([3, 0, 1], 1.0, 3.5 / (3 + 1 / math.log2(3))),
        ([0] * 10 + [1], 0.0, 0.0),
    ],
)
def test_by_hand(gains: list[float], mrr: float, gain: float) -> None:
    """The first relevant place counts for MRR, every place by its discount for NDCG, none after the tenth."""
    assert reciprocal_rank(gains) == mrr
    # One division of two sums.
    assert ndcg(gains) == pytest.approx(gain, rel=1e-15)


def test_equal_scores_earn_nothing() -> None:
    """A model that scores all passages alike has the relevant one last, wherever the file has it."""
    assert ranking([0.5, 0.5, 0.5], [1, 0, 0]) == [1, 2, 0]
    assert ranking([0.5, 0.7, 0.5], [1, 0, 0]) == [1, 2, 0]


def test_expected_gain_is_what_a_draw_earns() -> None:
    """Two equal scores of which one is relevant: a half; the scale of a common shift is nothing."""
    # Two equal powers over their sum.
    assert expected_gain(np.array([2.0, 2.0]), [1, 0]) == pytest.approx(0.5, rel=1e-15)
    assert expected_gain(np.array([1e4, 0.0]), [0, 2]) == 0.0
    assert expected_gain(np.array([0.0, 1.0]), [0, 0]) == 0.0


@pytest.mark.parametrize("relevance", [[0, 1, 2, 0], [1, 1], [0, 0, 0], [0, 0, 3, 0, 0]])
@pytest.mark.parametrize("first", [2, 10])
def test_random_order_is_the_mean_over_all_orders(relevance: list[float], first: int) -> None:
    """Every order as often, also where fewer places count than there are passages."""
    orders = list(itertools.permutations(relevance))
    wanted = [
        math.fsum(score(order, first) for order in orders) / len(orders) for score in (ndcg, reciprocal_rank)
    ]
    # Means of up to 120 quotients.
    assert random_order(relevance, first) == pytest.approx(tuple(wanted), rel=1e-12)
