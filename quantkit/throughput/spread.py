"""The middle of repeated measurements, and how sure it is.

A median says nothing of how far another run's would be from it. The interval here does, without assuming any shape of
the noise: of n independent measurements, the number below the true median is binomial(n, 1/2), so the k-th smallest and
the k-th largest enclose it with probability 1 - 2 P(fewer than k below). Five measurements enclose it between their
extremes with 94 %; with more of them the interval moves inwards, so measuring longer settles what can be settled.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.9
"""Least probability that the interval holds the median; five rounds are enough for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Repeated measurements of one quantity, summed up.

    Attributes:
        median: the middle one.
        low: the smallest.
        high: the largest.
        interval: encloses the true median with `CONFIDENCE`; from `low` to `high` where there are too few for that.
    """

    median: float
    low: float
    high: float
    interval: tuple[float, float]

    @property
    def width(self) -> float:
        """The interval's width relative to the median; infinite around zero."""
        width = self.interval[1] - self.interval[0]
        if self.median == 0:
            return 0.0 if width == 0 else math.inf
        return width / abs(self.median)


def spread_of(values: Sequence[float]) -> Spread:
    """Sum up one measurement or more."""
    ordered = sorted(values)
    inwards = _inwards(len(ordered))
    return Spread(
        median=statistics.median(ordered),
        low=ordered[0],
        high=ordered[-1],
        interval=(ordered[inwards], ordered[-1 - inwards]),
    )


def _inwards(count: int) -> int:
    """Return how many measurements may be left out at each end, so that the rest encloses the median."""
    inwards, outside = 0, 0.5**count
    while True:
        outside += math.comb(count, inwards + 1) * 0.5**count
        # Leaving out one more on either side misses when at most `inwards + 1` are below, or above.
        if 1 - 2 * outside < CONFIDENCE or 2 * (inwards + 2) > count:
            return inwards
        inwards += 1
