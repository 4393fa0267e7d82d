"""Reciprocal rank and normalized discounted cumulative gain of a ranking, cut at its first places.

Sources: Craswell 2009, "Mean Reciprocal Rank", Encyclopedia of Database Systems; Järvelin and Kekäläinen 2002,
"Cumulated gain-based evaluation of IR techniques", ACM TOIS 20, 422-446. The gain of a passage is its relevance itself,
as in trec_eval and scikit-learn's `ndcg_score`, not 2 to its power. Passages of one score: the less relevant first, so
that a model that scores all alike earns nothing by the order of the file.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FIRST = 10
"""How many places count: MRR@10 and NDCG@10."""


def ranking(scores: Sequence[float], relevance: Sequence[float]) -> list[int]:
    """Return the indices of passages, the highest score first; of equal scores the least relevant, then the first."""
    return sorted(range(len(scores)), key=lambda at: (-scores[at], relevance[at], at))


def reciprocal_rank(gains: Sequence[float], first: int = FIRST) -> float:
    """Return 1 / the place of the first passage with a relevance above 0, 0 where the first places have none.

    Args:
        gains: the relevance of each passage, in the order of the ranking.
        first: how many places count.
    """
    return next((1 / place for place, gain in enumerate(gains[:first], start=1) if gain > 0), 0.0)


def ndcg(gains: Sequence[float], first: int = FIRST) -> float:
    """Return the discounted gain of the first places over that of the best order, 0 to 1; 0 where nothing is relevant.

    Args:
        gains: the relevance of each passage, 0 or more, in the order of the ranking.
        first: how many places count.
    """
    best = _discounted(sorted(gains, reverse=True)[:first])
    return _discounted(gains[:first]) / best if best > 0 else 0.0


def expected_gain(logits: NDArray[np.float64], relevance: Sequence[float]) -> float:
    """Return the mean relevance, over the greatest, of a passage drawn by the softmax of the scores, 0 to 1.

    It is smooth in every score, where the rank jumps: NDCG@1 of a ranking that is drawn (Cao et al. 2007, "Learning to
    Rank: From Pairwise Approach to Listwise Approach"). 0 where nothing is relevant.

    Args:
        logits: float64 [passages].
        relevance: of each, 0 or more.
    """
    best = max(relevance)
    powers = np.exp(logits - np.max(logits))
    return float(powers @ np.asarray(relevance) / (powers.sum() * best)) if best > 0 else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))


def random_order(relevance: Sequence[float], first: int = FIRST) -> tuple[float, float]:
    """Return the mean NDCG and the mean reciprocal rank of passages over all their orders.

    Args:
        relevance: of each passage, 0 or more.
        first: how many places count.
    """
    count, relevant = len(relevance), sum(value > 0 for value in relevance)
    best = _discounted(sorted(relevance, reverse=True)[:first])
    mean = math.fsum(relevance) / count
    gain = _discounted([mean] * min(first, count)) / best if best > 0 else 0.0
    # The chance that no relevant passage came before this place.
    none_yet, reciprocal = 1.0, 0.0
    for place in range(1, min(first, count) + 1):
        here = relevant / (count - place + 1)
        reciprocal += none_yet * here / place
        none_yet *= 1 - here
        if none_yet <= 0:
            break
    return min(gain, 1.0), min(reciprocal, 1.0)
