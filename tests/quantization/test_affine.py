"""The affine map and the weights: bounds on the error, and what must be on the grid."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from quantkit.errors import QuantizationError
from quantkit.quantization.affine import affine_uint8, quantize_rows, quantize_weight

bounds = st.tuples(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30)).map(lambda pair: tuple(sorted(pair)))
matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 6)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(bounds, st.floats(0, 1))
def test_error_inside_the_range_is_half_a_level(pair: tuple[float, float], place: float) -> None:
    """Every value of the range comes back within scale/2, and 0 exactly."""
    low, high = min(pair[0], 0.0), max(pair[1], 0.0)
    scale, zero_point = affine_uint8(*pair)
    assert 0 <= zero_point <= 255
    assert scale > 0
    value = low + place * (high - low)
    level = float(np.clip(np.rint(value / scale) + zero_point, 0, 255))
    # The scale is rounded to float32, 2^-24 of itself for each of 255 levels.
    assert abs((level - zero_point) * scale - value) <= scale * (0.5 + 1e-4)
    zero = float(np.clip(np.rint(0.0 / scale) + zero_point, 0, 255))
    assert (zero - zero_point) * scale == 0.0


def test_same_as_the_operator() -> None:
    """Scale and zero point are those of ONNX DynamicQuantizeLinear on the same values."""
    import onnx.reference
    from onnx import helper

    for seed in range(5):
        data = (np.random.default_rng(seed).normal(size=64) * 3 + seed - 2).astype(np.float32)
        node = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
        _, scale, zero_point = onnx.reference.ReferenceEvaluator(node).run(None, {"x": data})
        ours = affine_uint8(float(data.min()), float(data.max()))
        # The operator divides in float32, so the last digit may differ.
        assert ours == (pytest.approx(float(scale), rel=2e-7), int(zero_point))


@pytest.mark.parametrize("pair", [(0.0, 0.0), (-1e-45, 1e-45), (0.0, 1e-40)])
def test_no_range_at_all(pair: tuple[float, float]) -> None:
    """A range below float32's normal numbers gets a scale that can be divided by."""
    assert affine_uint8(*pair) == (1.0, 0)


@pytest.mark.parametrize("reduce_range", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
@given(matrix=matrices)
def test_weight_error_is_half_a_level(matrix: np.ndarray, per_channel: bool, reduce_range: bool) -> None:
    """Each weight comes back within half of its channel's scale, and the levels are symmetric."""
    found = quantize_weight(matrix, per_channel=per_channel, reduce_range=reduce_range, name="w")
    limit = 63 if reduce_range else 127
    assert found.values.dtype == np.int8
    assert found.scales.dtype == np.float32
    assert found.scales.shape == ((matrix.shape[1],) if per_channel else ())
    assert np.abs(found.values.astype(int)).max() <= limit
    error = np.abs(found.values.astype(np.float64) * found.scales - matrix)
    assert (error <= found.scales.astype(np.float64) * (0.5 + 1e-4)).all()


def test_largest_weight_of_a_channel_uses_the_last_level() -> None:
    """The largest magnitude of each channel is ±127, or ±63 with reduce_range."""
    matrix = np.float32([[1, -8, 0.5], [0.2, 4, -0.25]])
    for reduce_range, limit in ((False, 127), (True, 63)):
        found = quantize_weight(matrix, per_channel=True, reduce_range=reduce_range, name="w")
        assert [limit] * 3 == np.abs(found.values).max(axis=0).tolist()


def test_channels_of_zeros() -> None:
    """A channel without any weight has the scale 1 and only zeros."""
    matrix = np.float32([[0, 1], [0, 2]])
    found = quantize_weight(matrix, per_channel=True, reduce_range=False, name="w")
    assert found.scales[0] == 1.0
    assert found.values[:, 0].tolist() == [0, 0]
    everything = quantize_weight(
        np.zeros((3, 2), np.float32), per_channel=False, reduce_range=False, name="w"
    )
    assert (float(everything.scales), everything.values.any()) == (1.0, False)


@given(matrices)
def test_rows(table: np.ndarray) -> None:
    """A table has one scale a row, and each entry comes back within half of it."""
    found = quantize_rows(table, name="t")
    assert found.scales.shape == (table.shape[0],)
    scales = found.scales.astype(np.float64)[:, None]
    assert (np.abs(found.values * scales - table) <= scales * (0.5 + 1e-4)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_weights(bad: float) -> None:
    """NaN and infinity are refused with the layer's name, in weights and in tables."""
    matrix = np.ones((3, 2), np.float32)
    matrix[1, 1] = bad
    for refuse in (
        lambda: quantize_weight(matrix, per_channel=True, reduce_range=False, name="encoder.query"),
        lambda: quantize_rows(matrix, name="encoder.query"),
    ):
        with pytest.raises(QuantizationError, match=r"encoder\.query: holds NaN or infinite weights"):
            refuse()


@given(matrices, st.integers(0, 255), st.integers(0, 255))
def test_reduced_weights_never_saturate_16_bits(matrix: np.ndarray, first: int, second: int) -> None:
    """With reduce_range the sum of two neighbouring u8·s8 products fits int16, whatever the activations."""
    assume(matrix.shape[0] >= 2)
    found = quantize_weight(matrix, per_channel=True, reduce_range=True, name="w").values.astype(int)
    sums = first * found[:-1] + second * found[1:]
    assert np.abs(sums).max() <= 2 * 255 * 63 <= np.iinfo(np.int16).max


def test_full_range_weights_can_saturate_16_bits() -> None:
    """With all 8 bits the same sum does not fit, which is why reduce_range exists."""
    found = quantize_weight(np.ones((2, 1), np.float32), per_channel=True, reduce_range=False, name="w")
    assert 2 * 255 * int(found.values[0, 0]) > np.iinfo(np.int16).max
