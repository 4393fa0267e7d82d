"""The affine map and the tables: bounds on the error, and what must be on the grid."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import QuantizationError
from quantkit.quantization.affine import affine_uint8, quantize_rows

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


@given(matrices)
def test_rows(table: np.ndarray) -> None:
    """A table has one scale a row, and each entry comes back within half of it."""
    found = quantize_rows(table, name="t")
    assert found.scales.shape == (table.shape[0],)
    scales = found.scales.astype(np.float64)[:, None]
    assert (np.abs(found.values * scales - table) <= scales * (0.5 + 1e-4)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_weights(bad: float) -> None:
    """NaN and infinity are refused with the table's name."""
    matrix = np.ones((3, 2), np.float32)
    matrix[1, 1] = bad
    with pytest.raises(QuantizationError, match=r"encoder\.words: holds NaN or infinite weights"):
        quantize_rows(matrix, name="encoder.words")
