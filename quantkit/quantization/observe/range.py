"""Ranges of activations: the one that was chosen for a tensor, and how it is to be taken."""

import math
from dataclasses import dataclass, replace

import numpy as np

PERCENTILE = 99.99


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeRule:
    """How a static range is taken from what calibration saw.

    Attributes:
        method: the estimator: minmax, or one of `quantkit.quantization.observe.ranges.METHODS`.
        percentile: for the estimator of that name.
        symmetric: around zero.
    """

    method: str = "minmax"
    percentile: float = PERCENTILE
    symmetric: bool = False

    @property
    def normal(self) -> "RangeRule":
        """The same with a percentile that is not used at its default, so that equal ones are equal."""
        return self if self.method == "percentile" else replace(self, percentile=PERCENTILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """One tensor: the range chosen for its 256 levels, and the range seen."""

    low: float
    high: float
    seen_low: float
    seen_high: float

    @classmethod
    def of(cls, low: np.ndarray, high: np.ndarray) -> "Range":
        """Return smallest and largest of all channels' extremes: the estimator minmax."""
        least, most = float(low.min()), float(high.max())
        return cls(low=least, high=most, seen_low=least, seen_high=most)

    def around_zero(self) -> "Range":
        """Return the range widened to 127 levels above zero and 128 below it, which makes the zero point 128.

        With as much on both sides zero would lie between two levels, and be rounded to either.
        """
        largest = max(abs(self.low), abs(self.high))
        return replace(self, low=-largest * 128 / 127, high=largest)

    def as_json(self) -> dict[str, float]:
        """Return the four numbers by name."""
        return {"low": self.low, "high": self.high, "seen_low": self.seen_low, "seen_high": self.seen_high}

    @property
    def possible(self) -> bool:
        """Whether the numbers are finite and in order."""
        ordered = self.low <= self.high and self.seen_low <= self.seen_high
        return ordered and all(math.isfinite(number) for number in self.as_json().values())
