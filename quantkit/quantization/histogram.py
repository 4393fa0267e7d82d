"""A histogram that grows with its data in bounded memory, and does not depend on the order of the data.

Bins are [i·2^e, (i+1)·2^e): a power-of-two grid anchored at zero. When the data spreads over more than
`MAX_BINS` bins, e goes up by one and neighbours are merged, which gives exactly the counts that binning with the
wider bins would have given. So the result is the same for any order of batches and any number of threads.
"""

import math
from dataclasses import dataclass, field

import numpy as np

MAX_BINS = 8192


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
        indices = np.floor(values.reshape(-1) * np.float32(2.0**-self.exponent)).astype(np.int32)
        start = int(indices.min())
        indices -= start
        self._count(start, np.bincount(indices))

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
        if self.exponent is None:
            # A span below 2^-14 of the magnitude is a constant for 8 bits, and finer bins would overflow int32.
            span = max(high - low, max(abs(low), abs(high)) * 2.0**-14, 2.0**-60)
            self.exponent = math.ceil(math.log2(span / MAX_BINS)) - 2
            self.first = math.floor(low * 2.0**-self.exponent)
        while self._span(low, high) > MAX_BINS:
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
