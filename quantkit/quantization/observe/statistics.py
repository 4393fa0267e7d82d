"""Statistics of the tensors that linear layers read, from one pass over the calibration rows.

Everything that calibration needs and that is not a histogram: the extremes of every channel (ranges and smoothing), the
second moments (GPTQ, smoothing), the mean (bias correction) and a sample of tokens (noise of a choice). Rows are added
in a fixed order whatever thread ran them, so sums are the same every time.
"""

import enum
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.runtime.batching import Batch
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.session import Arrays

SAMPLE_TOKENS = 1024
_AT_ONCE = 8
"""Tensors whose sums are worked on at a time: each needs the products of its row beside them, width² numbers."""
_LOW, _HIGH, _SUM, _SQUARES, _TOKENS, _FIRST_SAMPLE = range(6)


class Detail(enum.IntEnum):
    """How much of a tensor is kept; each includes those before it."""

    CHANNELS = 0
    SAMPLE = 1
    MOMENTS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """One tensor over all tokens of the calibration rows.

    Attributes:
        low: smallest value of each channel, float32 [channels].
        high: largest value of each channel, float32 [channels].
        mean: float64 [channels].
        square: mean square of each channel, float64 [channels].
        tokens: how many tokens were seen.
        moment: mean of x xᵀ, float32 [channels, channels]; None below `Detail.MOMENTS`.
        sample: as many tokens of every row, about `SAMPLE_TOKENS` in all and at least one a row, float32
            [tokens, channels]; None below `Detail.SAMPLE`.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    square: np.ndarray
    tokens: int
    moment: np.ndarray | None = None
    sample: np.ndarray | None = None

    @property
    def magnitude(self) -> np.ndarray:
        """Largest |x| of each channel, float32 [channels]."""
        largest: np.ndarray = np.maximum(np.abs(self.low), np.abs(self.high))
        return largest


def summarize(
    values: NDArray[np.float32], *, detail: Detail, per_row: int, place: int
) -> NDArray[np.float64]:
    """Return what one calibration row adds to the statistics of a tensor, apart from the moments.

    The sums are float64 anyway, and float64 holds every float32: nothing is lost, wherever it is computed.

    Args:
        values: the tokens of the row, float32 [tokens, channels].
        detail: from `Detail.SAMPLE` on some of the tokens are part of it.
        per_row: how many.
        place: number of the row: another choice of tokens in every row, and the same every time.

    Returns:
        float64 [5 + sampled tokens, channels]: low, high, sum, sum of squares, number of tokens, then the sample.
    """
    # Values that are not finite make a summary that is not, which is looked at.
    with np.errstate(invalid="ignore", over="ignore"):
        parts = [
            values.min(axis=0),
            values.max(axis=0),
            values.sum(axis=0, dtype=np.float64),
            np.square(values, dtype=np.float64).sum(axis=0),
            np.full(values.shape[1], len(values)),
        ]
    found = np.array(parts, np.float64)
    if detail < Detail.SAMPLE:
        return found
    chosen = np.random.default_rng(place).permutation(len(values))[:per_row]
    return np.concatenate([found, values[np.sort(chosen)]])


class StatisticsObserver:
    """Fills the statistics of several tensors from several threads, in the order of the batches."""

    def __init__(self, tensors: Sequence[str], batches: Sequence[Batch], *, detail: Detail) -> None:
        """Begin with nothing seen."""
        self._tensors = tensors
        self._places = {batch.indices[0]: place for place, batch in enumerate(batches)}
        self._waiting: dict[int, Arrays] = {}
        self._next = 0
        self._lock = threading.Lock()
        self.detail = detail
        self.per_row = -(-SAMPLE_TOKENS // len(batches))
        self._sums = [_Sums(detail=detail) for _ in tensors]

    def consume(self, batch: Batch, outputs: Arrays) -> None:
        """Add one unpadded row: activations [1, tokens, channels] or [1, channels]."""
        self._add_in_order(batch, outputs, summarized=False)

    def consume_summary(self, batch: Batch, summaries: Arrays) -> None:
        """Add one row of which only `summarize` is known, for each tensor [1, ...]; below `Detail.MOMENTS`."""
        assert self.detail < Detail.MOMENTS
        self._add_in_order(batch, summaries, summarized=True)

    def _add_in_order(self, batch: Batch, arrays: Arrays, *, summarized: bool) -> None:
        with self._lock:
            self._waiting[self._places[batch.indices[0]]] = arrays
            while (found := self._waiting.pop(self._next, None)) is not None:
                if summarized:
                    for sums, array in zip(self._sums, found, strict=True):
                        sums.add(array[0])
                else:
                    self._add_values(found)
                self._next += 1

    def _add_values(self, arrays: Arrays) -> None:
        """Add a row to every tensor's sums, several tensors at a time: none depends on another."""

        def add(pair: tuple["_Sums", np.ndarray]) -> None:
            sums, array = pair
            values = array.reshape(-1, array.shape[-1])
            sums.add(summarize(values, detail=self.detail, per_row=self.per_row, place=self._next))
            if self.detail >= Detail.MOMENTS:
                sums.add_moments(values)

        with ThreadPoolExecutor(min(_AT_ONCE, cpu_facts().cores), thread_name_prefix="quantkit-sums") as pool:
            list(pool.map(add, zip(self._sums, arrays, strict=True)))

    @property
    def done(self) -> int:
        """How many rows were added."""
        return self._next

    @property
    def bytes(self) -> int:
        """Memory that the sums take."""
        return sum(sums.bytes for sums in self._sums)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no row be added while the block runs."""
        with self._lock:
            yield

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that was seen so far, for `restore`; nothing may be added meanwhile."""
        arrays = {"names": np.array(self._tensors), "done": np.asarray(self._next)}
        for place, sums in enumerate(self._sums):
            arrays |= {f"{place}.{what}": array for what, array in sums.arrays().items()}
        return arrays

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on where the observer was whose `arrays` these are.

        Raises:
            KeyError: something is missing.
            ValueError: they are of other tensors.
        """
        if arrays["names"].tolist() != list(self._tensors):
            raise ValueError("of other tensors")
        restored = [_Sums(detail=self.detail) for _ in self._tensors]
        for place, sums in enumerate(restored):
            sums.restore(arrays, f"{place}.")
        self._sums, self._next = restored, int(arrays["done"])

    def statistics(self) -> dict[str, Statistics]:
        """Return tensor name → statistics."""
        return {name: sums.statistics() for name, sums in zip(self._tensors, self._sums, strict=True)}


class _Sums:
    """One tensor's sums so far."""

    def __init__(self, *, detail: Detail) -> None:
        self._detail = detail
        self._tokens = 0
        self._low: np.ndarray | float = np.inf
        self._high: np.ndarray | float = -np.inf
        self._sum: np.ndarray | float = 0.0
        self._squares: np.ndarray | float = 0.0
        self._products: np.ndarray | None = None
        self._sample: list[np.ndarray] = []

    def add(self, summary: np.ndarray) -> None:
        """Add what `summarize` made of one row."""
        self._low = np.minimum(self._low, summary[_LOW])
        self._high = np.maximum(self._high, summary[_HIGH])
        self._sum = self._sum + summary[_SUM]
        self._squares = self._squares + summary[_SQUARES]
        self._tokens += int(summary[_TOKENS, 0])
        if self._detail >= Detail.SAMPLE:
            self._sample.append(summary[_FIRST_SAMPLE:].astype(np.float32))

    def add_moments(self, values: np.ndarray) -> None:
        """Add the products of the tokens of one row, float32 [tokens, channels]."""
        products = values.T @ values
        if self._products is None:
            self._products = products
        else:
            self._products += products

    @property
    def bytes(self) -> int:
        """Memory that they take, vectors not counted."""
        products = 0 if self._products is None else self._products.nbytes
        return products + sum(part.nbytes for part in self._sample)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return them by name."""
        arrays = {
            "low": np.asarray(self._low),
            "high": np.asarray(self._high),
            "sum": np.asarray(self._sum),
            "squares": np.asarray(self._squares),
            "tokens": np.asarray(self._tokens),
        }
        if self._products is not None:
            arrays["products"] = self._products
        if self._sample:
            arrays["sample"] = np.concatenate(self._sample)
        return arrays

    def restore(self, arrays: Mapping[str, np.ndarray], prefix: str) -> None:
        """Take what `arrays` returned."""
        self._low, self._high = arrays[f"{prefix}low"], arrays[f"{prefix}high"]
        self._sum, self._squares = arrays[f"{prefix}sum"], arrays[f"{prefix}squares"]
        self._tokens = int(arrays[f"{prefix}tokens"])
        self._products = arrays[f"{prefix}products"] if self._detail >= Detail.MOMENTS else None
        self._sample = [arrays[f"{prefix}sample"]] if self._detail >= Detail.SAMPLE else []

    def statistics(self) -> Statistics:
        """Return the sums as means."""
        return Statistics(
            low=np.asarray(self._low, np.float32),
            high=np.asarray(self._high, np.float32),
            mean=np.asarray(self._sum) / self._tokens,
            square=np.asarray(self._squares) / self._tokens,
            tokens=self._tokens,
            moment=None if self._products is None else self._products / np.float32(self._tokens),
            sample=np.concatenate(self._sample) if self._sample else None,
        )


def as_arrays(statistics: Mapping[str, Statistics]) -> dict[str, np.ndarray]:
    """Return what a cache file holds: the vectors of every tensor by its place, without moments and sample."""
    arrays = {"names": np.array(list(statistics))}
    for place, found in enumerate(statistics.values()):
        for what in ("low", "high", "mean", "square"):
            arrays[f"{place}.{what}"] = getattr(found, what)
        arrays[f"{place}.tokens"] = np.asarray(found.tokens)
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Statistics]:
    """Return the statistics that `as_arrays` took apart.

    Raises:
        KeyError: something is missing.
        ValueError: a number is not finite.
    """
    found = {}
    for place, name in enumerate(arrays["names"].tolist()):
        vectors = {what: arrays[f"{place}.{what}"] for what in ("low", "high", "mean", "square")}
        if not all(np.isfinite(vector).all() for vector in vectors.values()):
            raise ValueError(f"{name}: not finite")
        found[name] = Statistics(**vectors, tokens=int(arrays[f"{place}.tokens"]))
    return found
