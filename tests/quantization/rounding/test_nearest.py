"""Rounding to nearest: bounds on the error, and which levels may be used."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quantkit.errors import QuantizationError
from quantkit.quantization.grids import GRIDS, Grid
from quantkit.quantization.rounding import ROUNDINGS, Problem

pytestmark = pytest.mark.avx2

matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 6)),
    elements=st.floats(-1e4, 1e4, width=32),
)
nearest = ROUNDINGS["nearest"]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("per_channel", [False, True])
@given(matrix=matrices)
def test_error_is_half_a_level(matrix: np.ndarray, per_channel: bool, grid: Grid) -> None:
    """Each weight comes back within half of its channel's scale, and the levels are symmetric."""
    found = nearest(Problem(name="w", matrix=matrix, per_channel=per_channel, grid=grid))
    assert (found.values.dtype, found.zero_point) == (
        (np.uint8, 128) if grid.name == "uint8" else (np.int8, 0)
    )
    assert found.scales.dtype == np.float32
    assert found.scales.shape == ((matrix.shape[1],) if per_channel else ())
    levels = found.values.astype(int) - found.zero_point
    assert np.abs(levels).max() <= grid.limit
    error = np.abs(levels * found.scales.astype(np.float64) - matrix)
    # Dividing by the float32 scale may move a weight across the middle by a rounding.
    assert (error <= found.scales.astype(np.float64) * (0.5 + 1e-4)).all()


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_largest_weight_of_a_channel_uses_the_last_level(grid: Grid) -> None:
    """The largest magnitude of each channel is the last level: 127 or 63 from the zero point; here signs are mixed."""
    matrix = np.float32([[1, -8, 0.5], [-0.2, 4, -0.25]])
    found = nearest(Problem(name="w", matrix=matrix, grid=grid))
    largest = np.abs(found.values.astype(int) - found.zero_point).max(axis=0)
    assert [grid.limit] * 3 == largest.tolist()


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_channels_of_zeros(grid: Grid) -> None:
    """A channel without any weight has the scale 1 and only zeros."""
    matrix = np.float32([[0, 1], [0, 2]])
    found = nearest(Problem(name="w", matrix=matrix, grid=grid))
    assert found.scales[0] == 1.0
    assert found.dequantize()[:, 0].tolist() == [0, 0]
    everything = nearest(Problem(name="w", matrix=np.zeros((3, 2), np.float32), per_channel=False, grid=grid))
    assert (float(everything.scales), everything.dequantize().any()) == (1.0, False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_broken_weights(bad: float, rounding: str) -> None:
    """NaN and infinity are refused with the layer's name."""
    matrix = np.ones((3, 2), np.float32)
    matrix[1, 1] = bad
    with pytest.raises(QuantizationError, match=r"encoder\.query: holds NaN or infinite weights"):
        ROUNDINGS[rounding](Problem(name="encoder.query", matrix=matrix, moment=np.eye(3)))


@given(matrices, st.integers(0, 255), st.integers(0, 255))
def test_reduced_weights_never_saturate_16_bits(matrix: np.ndarray, first: int, second: int) -> None:
    """With 7 bits the sum of two neighbouring u8·s8 products fits int16, whatever the activations."""
    assume(matrix.shape[0] >= 2)
    found = nearest(Problem(name="w", matrix=matrix, grid=GRIDS["int7"])).values.astype(int)
    sums = first * found[:-1] + second * found[1:]
    assert np.abs(sums).max() <= 2 * 255 * 63 <= np.iinfo(np.int16).max


def test_full_range_weights_can_saturate_16_bits() -> None:
    """With all 8 bits the same sum does not fit, which is why there are 7 bits and u8u8."""
    found = nearest(Problem(name="w", matrix=np.ones((2, 1), np.float32)))
    assert 2 * 255 * int(found.values[0, 0]) > np.iinfo(np.int16).max
