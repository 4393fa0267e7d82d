"""Range estimators: what each method promises about the range it returns."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.quantization.affine import affine_uint8
from quantkit.quantization.observe.histogram import Histogram
from quantkit.quantization.observe.ranges import METHODS

ordinary = arrays.arrays(np.float32, st.integers(1, 200), elements=st.floats(-100, 100, width=32))


def histogram_of(data: np.ndarray) -> Histogram:
    """Return the histogram of one batch."""
    histogram = Histogram()
    histogram.add(data)
    return histogram


def estimate(method: str, data: np.ndarray, percentile: float = 99.99) -> tuple[float, float]:
    """Return the range that a method chooses for data; minmax is what needs no histogram."""
    if method == "minmax":
        return float(data.min()), float(data.max())
    return METHODS[method](histogram_of(data), percentile)


def squared_error(data: np.ndarray, bounds: tuple[float, float]) -> float:
    """Return the sum of squared errors of uint8 over these bounds, in float64."""
    scale, zero_point = affine_uint8(*bounds)
    exact = data.astype(np.float64)
    levels = np.clip(np.rint(exact / scale) + zero_point, 0, 255)
    return float(np.square((levels - zero_point) * scale - exact).sum())


def gelu_like(size: int = 200_000) -> np.ndarray:
    """Return values as a Gelu gives them: nothing below -0.17, a long tail above."""
    from math import erf

    x = np.random.default_rng(3).normal(scale=2, size=size)
    return (x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))).astype(np.float32)


@pytest.mark.parametrize("percentile", [60.0, 99.0, 99.99, 100.0])
@given(ordinary)
def test_percentile_keeps_at_least_its_share(percentile: float, data: np.ndarray) -> None:
    """At most (100 - percentile)/2 percent is cut at each end, and the range is never wider than the data."""
    low, high = estimate("percentile", data, percentile)
    share = (100 - percentile) / 200 * data.size
    assert float(data.min()) <= low <= high <= float(data.max())
    assert np.count_nonzero(data < low) <= share
    assert np.count_nonzero(data > high) <= share


def test_percentile_cuts_outliers() -> None:
    """One value in a million far outside does not stretch the range."""
    data = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    data[7] = 1000.0
    low, high = estimate("percentile", data, 99.99)
    # The 0.005 % quantiles of a normal distribution are at ±3.89; a bin is 0.125 wide here.
    assert (low, high) == pytest.approx((-3.89, 3.89), abs=0.3)


@given(ordinary)
def test_mse_is_never_worse_than_minmax(data: np.ndarray) -> None:
    """The error is at most that of minmax, up to the width of a bin that values are counted in."""
    histogram = histogram_of(data)
    assert histogram.exponent is not None
    width = 2.0**histogram.exponent
    ours, theirs = (squared_error(data, estimate(method, data)) for method in ("mse", "minmax"))
    # A value is at most half a bin from its centre, once for each of the two errors compared.
    assert np.sqrt(ours / data.size) <= np.sqrt(theirs / data.size) + width * (1 + 1e-6)


def test_mse_and_entropy_cut_an_outlier() -> None:
    """With one far value in a million both methods give it up, and gain what minmax loses."""
    data = np.random.default_rng(0).normal(size=1_000_000).astype(np.float32)
    data[7] = 60.0
    minmax = squared_error(np.delete(data, 7), estimate("minmax", data))
    for method in ("mse", "entropy"):
        low, high = estimate(method, data)
        assert high < 40
        assert low <= -2.5
        assert squared_error(np.delete(data, 7), (low, high)) < 0.5 * minmax


@pytest.mark.parametrize("method", ["mse", "entropy"])
@given(ordinary)
def test_stays_within_the_values_seen(method: str, data: np.ndarray) -> None:
    """The range lies in what was seen, extended to 0, and is not empty unless all values are 0."""
    low, high = estimate(method, data)
    assert min(float(data.min()), 0.0) <= low <= 0 <= high <= max(float(data.max()), 0.0)
    assert high > low or not data.any()


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("value", [0.0, 5.0, -5.0, 1e-30, 3e38, -3e38])
def test_constants(method: str, value: float) -> None:
    """A constant, however large or small, is kept whole: after quantizing it is what it was within half a level."""
    data = np.full(50, value, np.float32)
    low, high = estimate(method, data)
    assert np.isfinite([low, high]).all()
    scale, _ = affine_uint8(low, high)
    assert np.sqrt(squared_error(data, (low, high)) / 50) <= scale / 2 * (1 + 1e-5)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_huge_spread(method: str) -> None:
    """Both ends of float32 in one tensor overflow nothing."""
    data = np.float32([-3.4e38, -1.0, 0.0, 1e-38, 3.4e38])
    low, high = estimate(method, data, 100.0)
    assert np.isfinite([low, high, *affine_uint8(low, high)]).all()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_one_sided_values_keep_their_levels(method: str) -> None:
    """A Gelu's output uses at least 240 of 256 levels for its positive side, and keeps its small negative side."""
    data = gelu_like()
    low, high = estimate(method, data)
    scale, zero_point = affine_uint8(low, high)
    assert 0 < zero_point <= 15
    assert (255 - zero_point) * scale >= 3
    assert -0.18 <= low <= -0.01
