"""Outlier channels in front: a slice takes them, every number stays, and channels that others hold stay in place."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.layout.slice_outliers import slice_outliers
from quantkit.graph.pairs import keeps_pair_limit

pytestmark = pytest.mark.avx2

SECOND = """
    picked = Gather <axis = -1> (g, channels) alone = MatMul (picked, w3)
    m = Mul (g, smoothing)
    mq = QuantizeLinear (m, x_scale, x_zero) md = DequantizeLinear (mq, x_scale, x_zero)
    w2 = DequantizeLinear <axis = 1> (w2_int8, w2_scale, w2_zero) most = MatMul (md, w2)
    y = Add (most, alone)
"""


@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize("gelu", ["gelu", "open_gelu"])
def test_picked_channels_become_a_slice(feed_forward: Any, quantized: bool, gelu: str) -> None:
    """The Gather becomes a Slice of the first channels, and the outputs stay: integers to the last bit."""
    first = feed_forward.quantized if quantized else "f = MatMul (x, wf)"
    model = feed_forward.build(first + getattr(feed_forward, gelu) + SECOND)
    before = feed_forward.compute(model)
    assert slice_outliers(model) == 1
    operators = [node.op_type for node in model.graph]
    assert "Gather" not in operators
    assert operators.count("Slice") == 1
    # Columns of a float product may be added in another order.
    np.testing.assert_allclose(feed_forward.compute(model), before, atol=0 if quantized else 1e-5, rtol=0)


def test_other_channels_keep_their_order(feed_forward: Any) -> None:
    """In front stand the picked channels in their order, behind them the others in theirs."""
    model = feed_forward.build(feed_forward.quantized + feed_forward.gelu + SECOND)
    slice_outliers(model)
    moved = next(node for node in model.graph if node.op_type == "BiasGelu").inputs[1]
    assert moved is not None
    assert moved.const_value is not None
    bias, picked = feed_forward.weights()["bias"], feed_forward.picked
    order = [*picked, *np.setdiff1d(np.arange(len(bias)), picked)]
    np.testing.assert_array_equal(moved.const_value.numpy(), bias[order])


@pytest.mark.parametrize(
    ("made", "more", "outputs"),
    [
        ("gelu", "", "float[b, s, w] g"),
        ("g = LayerNormalization <axis = -1> (f, gamma, bias)", "", ""),
        ("gelu", "z = Softmax <axis = -1> (g)", "float[b, s, w] z"),
        ("gelu", "z = MatMul (xd, w1)", "float[b, s, w] z"),
        ("gelu", "t = Transpose <perm = [0, 2, 1]> (x) z = MatMul (t, g)", "float[b, h, w] z"),
    ],
    ids=["output", "norm", "another reader", "shared weight", "as a weight"],
)
def test_channels_that_others_hold_stay(feed_forward: Any, made: str, more: str, outputs: str) -> None:
    """Nothing is moved where a norm, another reader, the graph's outputs or another layer holds the channels."""
    body = feed_forward.quantized + (feed_forward.gelu if made == "gelu" else made) + SECOND + more
    model = feed_forward.build(body, ", ".join(filter(None, ["float[b, s, k] y", outputs])))
    before = ir.to_proto(model).SerializeToString()
    assert slice_outliers(model) == 0
    assert ir.to_proto(model).SerializeToString() == before


def test_a_bias_of_two_layers_is_moved_for_one(feed_forward: Any) -> None:
    """A constant that another node reads too stays what it was for that one."""
    body = feed_forward.quantized + feed_forward.gelu + SECOND + "f2 = MatMul (x, wf) z = Add (f2, bias)"
    model = feed_forward.build(body, "float[b, s, k] y, float[b, s, w] z")
    before = feed_forward.compute(model)
    assert slice_outliers(model) == 1
    for found, wanted in zip(feed_forward.compute(model), before, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("picked", [3, [-1], [2, 2]], ids=["one number", "from the back", "twice"])
def test_what_is_no_list_of_channels_stays(feed_forward: Any, picked: Any) -> None:
    """A Gather that takes an axis away, counts from the back or takes a channel twice is left as it is."""
    body = feed_forward.quantized + feed_forward.gelu + "y = Gather <axis = -1> (g, some)"
    outputs = "float[b, s] y" if picked == 3 else "float[b, s, k] y"
    model = feed_forward.build(body, outputs, more={"some": np.array(picked)})
    assert slice_outliers(model) == 0
    assert "Slice" not in {node.op_type for node in model.graph}


def test_a_layer_that_is_quantized_by_rows_stays(feed_forward: Any) -> None:
    """Scales for every input are not those of columns: the layer is left alone."""
    scales = {"w1_scale": np.full(8, 0.01, np.float32), "w1_zero": np.zeros(8, np.int8)}
    by_row = feed_forward.quantized.replace("<axis = 1> (w1_int8", "<axis = 0> (w1_int8")
    model = feed_forward.build(by_row + feed_forward.gelu + SECOND, more=scales)
    assert slice_outliers(model) == 0


def within_the_limit(seed: int) -> np.ndarray:
    """Return int8 weights [24, 8] whose every pair is at the limit."""
    random = np.random.default_rng(seed)
    first = random.integers(-127, 128, (12, 8))
    sign = np.where(first < 0, -1, 1)
    weights = np.stack([first, sign * (128 - np.abs(first))], axis=1).reshape(24, 8).clip(-127, 127)
    return weights.astype(np.int8)


@pytest.mark.parametrize(
    "picked",
    [[3, 11, 20], [2, 3], [4, 5, 20, 21], [23, 0, 9, 8], list(range(12))],
    ids=["apart", "a pair", "two pairs", "mixed", "half"],
)
def test_weights_keep_their_pairs(feed_forward: Any, picked: list[int]) -> None:
    """Weights within the pair limit are within it afterwards, and the slice takes the same channels: outputs stay."""
    weights = within_the_limit(0)
    weights[picked] = 0
    assert keeps_pair_limit(weights)
    more = {"w2_int8": weights, "channels": np.array(picked), "w3": np.ones((len(picked), 8), np.float32)}
    model = feed_forward.build(feed_forward.quantized + feed_forward.gelu + SECOND, more=more)
    before = feed_forward.compute(model)
    assert slice_outliers(model) == 1
    np.testing.assert_array_equal(feed_forward.compute(model), before)
    moved = next(node for node in model.graph if node.name == "w2").inputs[0]
    assert moved is not None
    assert moved.const_value is not None
    assert keeps_pair_limit(moved.const_value.numpy())
    assert "Gather" not in {node.op_type for node in model.graph}


def test_weights_that_cannot_keep_their_pairs_stay(feed_forward: Any) -> None:
    """Where every order would break the limit, as picked rows are not at zero, channels stay in place."""
    weights = np.tile(np.array([[127], [1]], np.int8), (12, 8))
    more = {"w2_int8": weights, "channels": np.array([2, 4, 7, 6]), "w3": np.ones((4, 8), np.float32)}
    model = feed_forward.build(feed_forward.quantized + feed_forward.gelu + SECOND, more=more)
    before = ir.to_proto(model).SerializeToString()
    assert slice_outliers(model) == 0
    assert ir.to_proto(model).SerializeToString() == before
