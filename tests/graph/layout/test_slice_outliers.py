"""Outlier channels in front: a slice takes them, every number stays, and channels that others hold stay in place."""

from collections.abc import Mapping

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.graph.layout.slice_outliers import slice_outliers

HIDDEN, WIDE = 8, 24
PICKED = np.array([3, 11, 20])
HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
FIRST = """
    xq = QuantizeLinear (x, x_scale, x_zero) xd = DequantizeLinear (xq, x_scale, x_zero)
    w1 = DequantizeLinear <axis = 1> (w1_int8, w1_scale, w1_zero) f = MatMul (xd, w1)
"""
FUSED = "g = com.microsoft.BiasGelu (f, bias)"
OPEN = "a = Add (bias, f) d = Div (a, root) e = Erf (d) o = Add (e, one) p = Mul (a, o) g = Mul (p, half)"
SECOND = """
    picked = Gather <axis = -1> (g, channels) alone = MatMul (picked, w3)
    m = Mul (g, smoothing)
    mq = QuantizeLinear (m, x_scale, x_zero) md = DequantizeLinear (mq, x_scale, x_zero)
    w2 = DequantizeLinear <axis = 1> (w2_int8, w2_scale, w2_zero) most = MatMul (md, w2)
    y = Add (most, alone)
"""


def weights() -> dict[str, np.ndarray]:
    """Return the constants; an int8 weight has a scale and a zero point for each output."""
    random = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {
        "x_scale": np.float32(0.02),
        "x_zero": np.uint8(120),
        "bias": random.normal(size=WIDE),
        "smoothing": random.random(WIDE) + 0.5,
        "w3": random.normal(size=(len(PICKED), HIDDEN)),
        "wf": random.normal(size=(HIDDEN, WIDE)),
        "root": np.float32(2**0.5),
        "one": np.float32(1),
        "half": np.float32(0.5),
        "gamma": np.ones(WIDE),
    }
    found = {
        name: array.astype(np.float32) if array.dtype == np.float64 else array
        for name, array in found.items()
    }
    for name, shape in (("w1", (HIDDEN, WIDE)), ("w2", (WIDE, HIDDEN))):
        found[f"{name}_int8"] = random.integers(-127, 128, shape).astype(np.int8)
        found[f"{name}_scale"] = (random.random(shape[1]) * 0.01 + 0.001).astype(np.float32)
        found[f"{name}_zero"] = np.zeros(shape[1], np.int8)
    return {**found, "channels": PICKED}


def build(body: str, outputs: str = "float[b, s, k] y") -> ir.Model:
    """Return the model of `body`; nodes are named by their output."""
    proto = onnx.parser.parse_model(f"{HEADER} g (float[b, s, {HIDDEN}] x) => ({outputs}) {{ {body} }}")
    for node in proto.graph.node:
        node.name = next(iter(node.output))
    constants: Mapping[str, np.ndarray] = weights()
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in constants.items())
    return ir.from_proto(proto)


def compute(model: ir.Model) -> list[np.ndarray]:
    """Run a model on noise."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    content = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    x = np.random.default_rng(4).normal(size=(3, 7, HIDDEN)).astype(np.float32)
    found: list[np.ndarray] = session.run(None, {"x": x})
    return found


@pytest.mark.parametrize("first", [FIRST, "f = MatMul (x, wf)"], ids=["quantized", "float"])
@pytest.mark.parametrize("gelu", [FUSED, OPEN], ids=["fused", "open"])
def test_picked_channels_become_a_slice(first: str, gelu: str) -> None:
    """The Gather becomes a Slice of the first channels, and the outputs stay: integers to the last bit."""
    model = build(first + gelu + SECOND)
    before = compute(model)
    assert slice_outliers(model) == 1
    operators = [node.op_type for node in model.graph]
    assert "Gather" not in operators
    assert operators.count("Slice") == 1
    # Columns of a float product may be added in another order.
    np.testing.assert_allclose(compute(model), before, atol=0 if first == FIRST else 1e-5, rtol=0)


def test_other_channels_keep_their_order() -> None:
    """In front stand the picked channels in their order, behind them the others in theirs."""
    model = build(FIRST + FUSED + SECOND)
    slice_outliers(model)
    bias = next(node for node in model.graph if node.op_type == "BiasGelu").inputs[1]
    assert bias is not None
    assert bias.const_value is not None
    order = [*PICKED, *np.setdiff1d(np.arange(WIDE), PICKED)]
    np.testing.assert_array_equal(bias.const_value.numpy(), weights()["bias"][order])


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        (FIRST + FUSED + SECOND, "float[b, s, k] y, float[b, s, w] g"),
        (FIRST + "g = LayerNormalization <axis = -1> (f, gamma, bias)" + SECOND, "float[b, s, k] y"),
        (FIRST + FUSED + SECOND + "z = Softmax <axis = -1> (g)", "float[b, s, k] y, float[b, s, w] z"),
        (FIRST + FUSED + SECOND + "z = MatMul (xd, w1)", "float[b, s, k] y, float[b, s, w] z"),
        (
            FIRST + FUSED + SECOND + "t = Transpose <perm = [0, 2, 1]> (x) z = MatMul (t, g)",
            "float[b, s, k] y, float[b, h, w] z",
        ),
    ],
    ids=["output", "norm", "another reader", "shared weight", "as a weight"],
)
def test_channels_that_others_hold_stay(body: str, outputs: str) -> None:
    """Nothing is moved where a norm, another reader, the graph's outputs or another layer holds the channels."""
    model = build(body, outputs)
    before = ir.to_proto(model).SerializeToString()
    assert slice_outliers(model) == 0
    assert ir.to_proto(model).SerializeToString() == before


def test_a_bias_of_two_layers_is_moved_for_one() -> None:
    """A constant that another node reads too stays what it was for that one."""
    body = FIRST + FUSED + SECOND + "f2 = MatMul (x, wf) z = Add (f2, bias)"
    model = build(body, "float[b, s, k] y, float[b, s, w] z")
    before = compute(model)
    assert slice_outliers(model) == 1
    for found, wanted in zip(compute(model), before, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
