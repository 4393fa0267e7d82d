"""The histogram counts like direct binning, whatever the order in which data comes."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantkit.quantization.observe.histogram import MAX_BINS, Histogram

anything = st.floats(width=32, allow_nan=False, allow_infinity=False)
ordinary = st.floats(-50, 50, width=32)
nearly_constant = st.floats(float(np.float32(0.999)), float(np.float32(1.001)), width=32)
values = st.one_of(
    *(
        arrays.arrays(np.float32, st.integers(1, 60), elements=elements)
        for elements in (anything, ordinary, nearly_constant)
    )
)


def histogram_of(*batches: np.ndarray) -> Histogram:
    """Return the histogram of batches in this order."""
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


def content(histogram: Histogram) -> tuple[object, ...]:
    """Return everything a histogram holds, without empty bins at its ends."""
    occupied = np.flatnonzero(histogram.counts)
    first, last = int(occupied[0]), int(occupied[-1])
    counts = histogram.counts[first : last + 1].tolist()
    return histogram.exponent, histogram.first + first, counts, histogram.low, histogram.high, histogram.total


@given(values)
def test_equals_direct_binning(data: np.ndarray) -> None:
    """Each bin [i·2^e, (i+1)·2^e) counts exactly the values that lie in it."""
    histogram = histogram_of(data)
    assert histogram.exponent is not None
    exact = [math.floor(math.ldexp(float(value), -histogram.exponent)) for value in data]
    found = {histogram.first + place: count for place, count in enumerate(histogram.counts) if count}
    assert {index: exact.count(index) for index in exact} == found


@given(values, st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_and_splitting_do_not_matter(data: np.ndarray, random: "object", parts: int) -> None:
    """Any permutation, cut into any number of batches, gives the same bins and counts."""
    shuffled = data.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    batches = [batch for batch in np.array_split(shuffled, parts) if batch.size]
    assert content(histogram_of(data)) == content(histogram_of(*batches))


@given(st.lists(values, min_size=1, max_size=5))
def test_extremes_are_exact_and_bins_bounded(batches: list[np.ndarray]) -> None:
    """Smallest and largest value are exact, every value is counted, and bins stay below the limit."""
    histogram = histogram_of(*batches)
    everything = np.concatenate(batches)
    assert (histogram.low, histogram.high) == (float(everything.min()), float(everything.max()))
    assert histogram.total == everything.size == histogram.counts.sum()
    assert 1 <= histogram.counts.size <= MAX_BINS


@given(st.lists(values, min_size=2, max_size=4))
def test_edges_enclose_the_data(batches: list[np.ndarray]) -> None:
    """The first edge is at or below the smallest value, the last above the largest."""
    histogram = histogram_of(*batches)
    edges = histogram.edges()
    assert edges[0] <= histogram.low
    assert histogram.high < edges[-1] or histogram.high == edges[-1] == 0
    assert np.isfinite(histogram.centers()).all()


def test_zeros_first_do_not_coarsen_what_follows() -> None:
    """A batch of zeros says nothing about the width of bins."""
    zeros, tiny = np.zeros(5, np.float32), np.float32([1e-12, 2e-12])
    assert content(histogram_of(zeros, tiny)) == content(histogram_of(tiny, zeros))


def test_nothing_is_counted_of_nothing() -> None:
    """An empty batch changes nothing."""
    histogram = histogram_of(np.zeros((1, 0, 4), np.float32))
    assert (histogram.total, histogram.counts.size, histogram.exponent) == (0, 0, None)


def test_resolution_of_ordinary_activations() -> None:
    """A spread of activations gets at least half the bins, 16 and more a level of 256."""
    data = np.random.default_rng(0).normal(size=100_000).astype(np.float32)
    assert histogram_of(data).counts.size > MAX_BINS // 2 - 2


@given(parts=st.lists(values, min_size=1, max_size=6))
def test_merged_equals_counted(parts: list[np.ndarray]) -> None:
    """Histograms of parts that are merged, also after a journey as numbers, are the histogram of the whole."""
    whole, merged = Histogram(), Histogram()
    for part in parts:
        whole.add(part)
        one = Histogram()
        one.add(part)
        merged.merge(Histogram.from_array(one.as_array()))
    assert (whole.exponent, whole.first, whole.low, whole.high, whole.total) == (
        merged.exponent,
        merged.first,
        merged.low,
        merged.high,
        merged.total,
    )
    np.testing.assert_array_equal(merged.counts, whole.counts)
