"""The model of the kernel: onnxruntime's integer operators give its numbers, bit by bit, saturating and not."""

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnxruntime
import pytest
from kernel_model import integer_product, saturating_product

from quantkit.graph.pairs import keeps_pair_limit
from quantkit.quantization.grids import GRIDS
from quantkit.runtime.cpu import saturates_here

pytestmark = pytest.mark.avx2

HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>\n'
GRAPHS = {
    "MatMulInteger": "g (uint8[r, k] x) => (int32[r, n] y) { y = MatMulInteger (x, w, x_zero, w_zero) }",
    "QLinearMatMul": """g (uint8[r, k] x) => (uint8[r, n] y)
        { y = QLinearMatMul (x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero) }""",
    "MatMulIntegerToFloat": """g (uint8[r, k] x) => (float[r, n] y)
        { y = com.microsoft.MatMulIntegerToFloat (x, w, x_scale, w_scale, x_zero, w_zero) }""",
    "DynamicQuantizeMatMul": """g (float[r, k] x) => (float[r, n] y)
        { y = com.microsoft.DynamicQuantizeMatMul (x, w, w_scale, w_zero) }""",
}
X_SCALE, W_SCALE, Y_SCALE = np.float32(0.0625), np.float32(0.03125), np.float32(32)
X_ZERO, Y_ZERO = 37, 128


def run(op_type: str, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what onnxruntime computes with a constant weight, by default options."""
    model = onnx.parser.parse_model(HEAD + GRAPHS[op_type])
    constants = {
        "w": weights,
        "w_zero": np.int8(0),
        "w_scale": W_SCALE,
        "x_scale": X_SCALE,
        "x_zero": np.uint8(X_ZERO),
        "y_scale": Y_SCALE,
        "y_zero": np.uint8(Y_ZERO),
    }
    read = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
        if name in read
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def factors(weight_type: str, inputs: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return large activations, and a weight of all levels of a grid."""
    random, grid = np.random.default_rng([inputs, rows]), GRIDS[weight_type]
    x = random.integers(100, 256, (rows, inputs)).astype(np.uint8)
    levels = random.integers(-grid.limit, grid.limit + 1, (inputs, 24))
    levels[:, 0] = grid.limit
    return x, grid.nearest(levels.astype(np.float64)).astype(np.int8)


def expected(op_type: str, product: np.ndarray) -> np.ndarray:
    """Return what an operator makes of the integers: scales are powers of 2, so that nothing is rounded but once."""
    if op_type == "MatMulInteger":
        return product
    floats = product.astype(np.float32) * (X_SCALE * W_SCALE)
    if op_type == "QLinearMatMul":
        return np.clip(np.rint(floats / Y_SCALE) + Y_ZERO, 0, 255).astype(np.uint8)
    return floats


@pytest.mark.parametrize("op_type", ["MatMulInteger", "QLinearMatMul", "MatMulIntegerToFloat"])
@pytest.mark.parametrize("weights", ["int8", "int8-pairs", "int7"])
@pytest.mark.parametrize(("inputs", "rows"), [(1, 1), (7, 3), (63, 1), (64, 5), (385, 2), (1536, 9)])
def test_operators_give_the_numbers_of_the_model(op_type: str, weights: str, inputs: int, rows: int) -> None:
    """On this CPU, whichever it is: bit by bit, where sums saturate and where they do not."""
    x, levels = factors(weights, inputs, rows)
    product = integer_product(x, levels, x_zero=X_ZERO, saturates=saturates_here())
    np.testing.assert_array_equal(run(op_type, x, levels), expected(op_type, product))


@pytest.mark.parametrize("weights", ["int8", "int8-pairs"])
@pytest.mark.parametrize("rows", [1, 6])
def test_dynamic_products(weights: str, rows: int) -> None:
    """The same where activations are quantized while the model runs: here to 0 to 255 by a scale of 1."""
    x, levels = factors(weights, 384, rows)
    x[0, :2] = 0, 255
    product = integer_product(x, levels, saturates=saturates_here())
    np.testing.assert_array_equal(
        run("DynamicQuantizeMatMul", x.astype(np.float32), levels), product * W_SCALE
    )


@pytest.mark.parametrize("weights", ["int8-pairs", "int7"])
def test_within_the_limit_both_models_are_one(weights: str) -> None:
    """So products are the same on every CPU, whatever the activations: also where all are 255."""
    for inputs in (1, 2, 63, 384):
        x, levels = factors(weights, inputs, 4)
        x[0] = 255
        assert keeps_pair_limit(levels)
        np.testing.assert_array_equal(saturating_product(x, levels), x.astype(int) @ levels)


def test_beyond_the_limit_they_differ() -> None:
    """Full int8 saturates in the model on any machine, so the model is no identity."""
    x, levels = factors("int8", 384, 4)
    assert (saturating_product(x, levels) != x.astype(int) @ levels).mean() > 0.9


@pytest.mark.parametrize("weights", [name for name, grid in GRIDS.items() if grid.stored == "int8"])
def test_levels_fit_plain_neon(weights: str) -> None:
    """It adds two products of signed 8 bits in 16 bits: activations go down to -128, so levels may not."""
    assert 2 * 128 * GRIDS[weights].limit <= np.iinfo(np.int16).max < 2 * 128 * 128
