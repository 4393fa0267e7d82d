"""Block-wise weights: the operator's layout, its names, and results that are those of the dequantized weights."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.errors import QuantizationError, RecipeError
from quantkit.graph.blockwise_probe import multiplies_integers
from quantkit.graph.linear import linear_layers
from quantkit.quantization.write.blockwise import BLOCK_SIZES, quantize_blocks, quantize_blockwise

pytestmark = pytest.mark.avx2

WIDTH = 40  # a multiple of none of the block sizes


def dequantized(matrix: np.ndarray, block_size: int) -> np.ndarray:
    """Return the weights [inputs, outputs] that the blocks stand for."""
    found = quantize_blocks(matrix, block_size, name="w")
    blocks = (found.values.astype(np.float32) - 128) * found.scales[:, :, None]
    return blocks.reshape(len(blocks), -1)[:, : len(matrix)].T


@pytest.fixture
def model(bench: Any) -> ir.Model:
    """Return a graph of two layers in a row, one of them with a bias."""
    weights = {
        "words_weight": bench.normal(40, WIDTH, seed=1),
        "a_weight": bench.normal(WIDTH, 24, seed=2),
        "a_bias": bench.normal(24, seed=3),
        "b_weight": bench.normal(24, 3, seed=4),
    }
    body = """
        x = Gather (words_weight, input_ids) h = MatMul (x, a_weight) g = Add (h, a_bias)
        logits = MatMul (g, b_weight)
    """
    return bench.build(body, weights)


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_equals_the_dequantized_weights(bench: Any, model: ir.Model, block_size: int) -> None:
    """In float (accuracy level 0) the result is that of the dequantized weights, padding of the last block included."""
    for layer in linear_layers(model.graph):
        layer.weight.const_value = ir.tensor(dequantized(layer.matrix(), block_size), name=layer.weight.name)
    expected = bench.compute(model)
    quantize_blockwise(model, linear_layers(model.graph), block_size)
    for node in model.graph:
        if node.op_type == "MatMulNBits":
            node.attributes["accuracy_level"] = ir.AttrInt64("accuracy_level", 0)
    # The levels are the same again; sums of 40 products in float32, in another order.
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_near_float(bench: Any, model: ir.Model, block_size: int) -> None:
    """With rounded activations two layers in a row are within 3 % of the outputs' spread."""
    expected = bench.compute(model)
    quantize_blockwise(model, linear_layers(model.graph), block_size)
    difference = np.abs(bench.compute(model) - expected).max() / np.ptp(expected)
    assert 0 < difference < 0.03


def test_names_and_shapes_stay(bench: Any, model: ir.Model) -> None:
    """Layers run as MatMulNBits under their names with their shapes; integer is what the probe says."""
    quantize_blockwise(model, linear_layers(model.graph), 32)
    execution = bench.trace(model)
    assert [(layer.name, layer.shape) for layer in execution.layers] == [("a", (WIDTH, 24)), ("b", (24, 3))]
    assert {layer.kernel for layer in execution.layers} == {"MatMulNBits"}
    assert {layer.integer for layer in execution.layers} == {multiplies_integers(32, zero_points=False)}
    assert [output.name for output in model.graph.outputs] == ["logits"]


@pytest.mark.parametrize("transposed", [False, True])
def test_pooled_heads(bench: Any, transposed: bool) -> None:
    """A pooled Gemm becomes MatMulNBits and its bias stays."""
    weight = bench.normal(3, WIDTH, seed=2)
    weights = {
        "words_weight": bench.normal(40, WIDTH, seed=1),
        "first": np.asarray(0, np.int64),
        "head_weight": weight if transposed else weight.T.copy(),
        "head_bias": 100 + bench.normal(3, seed=3),
    }
    body = f"""
        x = Gather (words_weight, input_ids) row = Gather <axis = 1> (x, first)
        logits = Gemm <transB = {int(transposed)}> (row, head_weight, head_bias)
    """
    model = bench.build(body, weights, "float[batch, 3] logits")
    next(node for node in model.graph if node.attributes.get("axis") is not None).name = "first_token"
    expected = bench.compute(model)
    quantize_blockwise(model, linear_layers(model.graph), 16)
    assert [(layer.name, layer.kernel) for layer in bench.trace(model).layers] == [("head", "MatMulNBits")]
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=0.02 * np.ptp(expected))


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_error_is_half_a_level_of_the_block(bench: Any, block_size: int) -> None:
    """Each weight comes back within half of its block's scale; a block's largest weight is its last level."""
    matrix = bench.normal(300, 4) * np.geomspace(1e-3, 1e3, 300, dtype=np.float32)[:, None]
    found = quantize_blocks(matrix, block_size, name="w")
    blocks = -(-300 // block_size)
    assert (found.values.shape, found.values.dtype) == ((4, blocks, block_size), np.uint8)
    assert (found.scales.shape, found.zero_point) == ((4, blocks), 128)
    scales = np.repeat(found.scales, block_size, axis=1)[:, :300].T.astype(np.float64)
    # The scale is rounded to float32, and so is the division by it.
    assert (np.abs(dequantized(matrix, block_size) - matrix) <= scales * (0.5 + 1e-4)).all()
    assert (np.abs(found.values.astype(int) - 128).max(axis=2) == 127).all()


def test_blocks_of_zeros() -> None:
    """A block without any weight has the scale 1 and the zero point everywhere."""
    found = quantize_blocks(np.zeros((20, 2), np.float32), 16, name="w")
    assert (found.values == 128).all()
    assert (found.scales == 1).all()


@pytest.mark.parametrize("block_size", [0, 8, 24, 512])
def test_block_sizes(model: ir.Model, block_size: int) -> None:
    """Any other block size is refused before anything is changed."""
    with pytest.raises(RecipeError, match=f"block_size {block_size}: .* 16, 32, 64, 128, 256"):
        quantize_blockwise(model, linear_layers(model.graph), block_size)
    assert len(linear_layers(model.graph)) == 2


def test_broken_weights(model: ir.Model) -> None:
    """NaN is refused with the layer's name."""
    broken = ir.tensor(np.full((WIDTH, 24), np.nan, np.float32), name="a_weight")
    model.graph.initializers["a_weight"].const_value = broken
    with pytest.raises(QuantizationError, match="a: holds NaN"):
        quantize_blockwise(model, linear_layers(model.graph), 32)
