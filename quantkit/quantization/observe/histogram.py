"""A histogram that grows with its data in bounded memory, and does not depend on the order of the data.

Bins are [i·2^e, (i+1)·2^e): a power-of-two grid anchored at zero. e is the smallest exponent for which all data
spans at most `MAX_BINS` bins, but no smaller than the largest magnitude allows; neither ever goes down as data
comes in. When e goes up by one, neighbours are merged, which gives exactly the counts that binning with the wider
bins would have given. So the result is the same for any order of batches and any number of threads.
"""

import math
from dataclasses import dataclass, field

import numpy as np

MAX_BINS = 8192
# Bins finer than 2^-29 of the largest magnitude would overflow int32, and 2^-75 is as good as zero.
_FINEST = 29
_LEAST_EXPONENT = -75
# Above this width, small float32 values divided by it would underflow to zero.
_FLOAT32_EXPONENT = 0


@dataclass(kw_only=True, slots=True)
class Histogram:
    """Counts of float values on a power-of-two grid, with exact smallest and largest value."""

    exponent: int | None = None
    first: int = 0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    low: float = math.inf
    high: float = -math.inf
    total: int = 0

    def add(self, values: np.ndarray) -> None:
        """Count `values` (any shape, float32, finite)."""
        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        self.widen(low, high)
        self.total += values.size
        self._make_room(low, high)
        assert self.exponent is not None
        flat = values.reshape(-1)
        if self.exponent > _FLOAT32_EXPONENT:
            flat = flat.astype(np.float64)
        indices = np.floor(flat * flat.dtype.type(2.0**-self.exponent)).astype(np.int32)
        start = int(indices.min())
        indices -= start
        self._count(start, np.bincount(indices))

    def merge(self, other: "Histogram") -> None:
        """Count what another histogram has counted; the result is that of counting all its values here."""
        if other.exponent is None:
            return
        exponent = other.exponent
        merged = Histogram(exponent=exponent, first=other.first, counts=other.counts)
        self.widen(other.low, other.high)
        self.total += other.total
        self._make_room(other.low, other.high)
        assert self.exponent is not None
        while self.exponent < exponent:
            self._coarsen()
        for _ in range(self.exponent - exponent):
            merged._coarsen()
        self._count(merged.first, merged.counts)

    def as_array(self) -> np.ndarray:
        """Return it as numbers, float64 [5 + bins]: all of them are small enough to be exact."""
        assert self.exponent is not None
        return np.array(
            [self.exponent, self.first, self.low, self.high, self.total, *self.counts], np.float64
        )

    @classmethod
    def from_array(cls, numbers: np.ndarray) -> "Histogram":
        """Return the histogram that `as_array` wrote down."""
        exponent, first, low, high, total = numbers[:5].tolist()
        return cls(
            exponent=int(exponent),
            first=int(first),
            counts=numbers[5:].astype(np.int64),
            low=low,
            high=high,
            total=int(total),
        )

    def widen(self, low: float, high: float) -> None:
        """Take note of a smallest and a largest value without counting any."""
        self.low, self.high = min(self.low, low), max(self.high, high)

    def edges(self) -> np.ndarray:
        """Return the bin edges, float64 [bins + 1]."""
        assert self.exponent is not None
        return (self.first + np.arange(self.counts.size + 1)) * 2.0**self.exponent

    def centers(self) -> np.ndarray:
        """Return the bin centres, float64 [bins]."""
        edges = self.edges()
        centers: np.ndarray = (edges[:-1] + edges[1:]) / 2
        return centers

    def _make_room(self, low: float, high: float) -> None:
        """Choose the smallest exponent for which old and new data span at most MAX_BINS bins."""
        magnitude = max(abs(low), abs(high))
        finest = max(math.frexp(magnitude)[1] - _FINEST, _LEAST_EXPONENT) if magnitude else _LEAST_EXPONENT
        if self.exponent is None:
            self.exponent = finest
        while self.exponent < finest or self._span(low, high) > MAX_BINS:
            self._coarsen()

    def _span(self, low: float, high: float) -> int:
        assert self.exponent is not None
        scale = 2.0**-self.exponent
        first, last = math.floor(low * scale), math.floor(high * scale)
        if self.counts.size:
            first, last = min(first, self.first), max(last, self.first + self.counts.size - 1)
        return last - first + 1

    def _coarsen(self) -> None:
        """Double the bin width, merging bins 2i and 2i+1 into i."""
        assert self.exponent is not None
        self.exponent += 1
        if self.counts.size:
            lead = self.first % 2
            padded = np.pad(self.counts, (lead, (self.counts.size + lead) % 2))
            self.counts = padded.reshape(-1, 2).sum(axis=1)
        self.first //= 2

    def _count(self, start: int, counts: np.ndarray) -> None:
        """Add `counts`, whose first bin is `start`, widening the array where needed."""
        if not self.counts.size:
            self.first, self.counts = start, counts.astype(np.int64)
            return
        first = min(start, self.first)
        last = max(start + counts.size, self.first + self.counts.size)
        if first != self.first or last != self.first + self.counts.size:
            widened = np.zeros(last - first, dtype=np.int64)
            widened[self.first - first : self.first - first + self.counts.size] = self.counts
            self.first, self.counts = first, widened
        self.counts[start - self.first : start - self.first + counts.size] += counts
