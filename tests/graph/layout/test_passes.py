"""The layout passes: what they rewrite, that numbers stay, and what they refuse."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.errors import QuantizationError
from quantkit.graph.layout import LAYOUTS, expected_after, lay_out

pytestmark = pytest.mark.avx2

HIDDEN, WIDE = 16, 24
HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return float32 noise."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def quantized(name: str, outputs: int, seed: int) -> dict[str, np.ndarray]:
    """Return an int8 weight [HIDDEN, outputs], its scales and its zero points."""
    random = np.random.default_rng(seed)
    return {
        f"{name}_int8": random.integers(-127, 128, (HIDDEN, outputs)).astype(np.int8),
        f"{name}_scale": (random.random(outputs) * 0.01 + 0.001).astype(np.float32),
        f"{name}_zero": np.zeros(outputs, np.int8),
    }


def build(body: str, weights: Mapping[str, np.ndarray], outputs: str = "float[b, s, k] y") -> ir.Model:
    """Return the model of `body`, which makes the outputs of x [b, s, HIDDEN]; nodes are named by their output."""
    proto = onnx.parser.parse_model(f"{HEADER} g (float[b, s, {HIDDEN}] x) => ({outputs}) {{ {body} }}")
    for node in proto.graph.node:
        node.name = next(iter(node.output))
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items())
    return ir.from_proto(proto)


def product(name: str, output: str = "") -> str:
    """Return a static linear layer of `xd`, named `name`."""
    return (
        f"{name}_w = DequantizeLinear <axis = 1> ({name}_int8, {name}_scale, {name}_zero) "
        f"{output or name} = MatMul (xd, {name}_w)"
    )


QUANTIZE = "xq = QuantizeLinear (x, x_scale, x_zero) xd = DequantizeLinear (xq, x_scale, x_zero)"
INPUT = {"x_scale": np.float32(0.02), "x_zero": np.uint8(120)}


def compute(model: ir.Model) -> list[np.ndarray]:
    """Run a model on noise, as onnxruntime optimizes it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    content = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, {"x": normal(3, 7, HIDDEN, seed=5)})
    return found


def operators(model: ir.Model) -> list[str]:
    """Return the operators of a graph, in order."""
    return [node.op_type for node in model.graph]


NORM = {"gamma": normal(HIDDEN, seed=1), "beta": normal(HIDDEN, seed=2), "bias": normal(HIDDEN, seed=3)}


@pytest.mark.parametrize(("bias", "adds"), [("", 0), (", bias", 1)])
def test_norms_are_opened(bias: str, adds: int) -> None:
    """SkipLayerNormalization becomes Sum (and Add for a bias) and LayerNormalization; outputs keep their names."""
    body = f"t = Tanh (x) y = com.microsoft.SkipLayerNormalization <epsilon = 1e-5> (x, t, gamma, beta{bias})"
    model = build(body, NORM)
    before = compute(model)
    assert lay_out(model, "portable") == {
        "open_norms": 1,
        "slice_outliers": 0,
        "fold_copies": 0,
        "narrow_pooled": 0,
    }
    assert operators(model) == ["Tanh", *["Add"] * adds, "Sum", "LayerNormalization"]
    assert [value.name for value in model.graph.outputs] == ["y"]
    np.testing.assert_allclose(compute(model), before, atol=2e-6, rtol=0)


def test_norm_whose_sum_is_read() -> None:
    """Who reads the sum of a SkipLayerNormalization reads the Sum."""
    body = """t = Tanh (x)
        n, e1, e2, total = com.microsoft.SkipLayerNormalization <epsilon = 1e-5> (x, t, gamma, beta, bias)
        y = Add (n, total)"""
    model = build(body, NORM)
    before = compute(model)
    lay_out(model, "portable")
    assert operators(model) == ["Tanh", "Add", "Sum", "LayerNormalization", "Add"]
    np.testing.assert_allclose(compute(model), before, atol=2e-6, rtol=0)


def test_norms_stay_open(tmp_path: Path) -> None:
    """onnxruntime, which knows all shapes here, does not fuse what was opened again."""
    body = """h = MatMul (x, w) z = com.microsoft.SkipLayerNormalization (h, x, gamma, beta, bias)
        y = com.microsoft.SkipLayerNormalization (z, x, gamma, beta)"""
    model = build(body, {**NORM, "w": normal(HIDDEN, HIDDEN)})
    lay_out(model, "portable")
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.log_severity_level = True, 3
    options.profile_file_prefix = str(tmp_path / "trace")
    content = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    session.run(None, {"x": normal(3, 7, HIDDEN)})
    executed = Path(session.end_profiling()).read_text(encoding="utf-8")
    assert executed.count('"LayerNormalization"') == 2
    assert "SkipLayerNormalization" not in executed.replace("SkipLayerNormalization.", "")


def test_norm_that_broadcasts() -> None:
    """A skip of one row, as positions are, is added to all rows."""
    body = """y = com.microsoft.SkipLayerNormalization (x, row, gamma, beta)"""
    model = build(body, {**NORM, "row": normal(1, 7, HIDDEN, seed=9)})
    before = compute(model)
    assert lay_out(model, "portable") == {
        "open_norms": 1,
        "slice_outliers": 0,
        "fold_copies": 0,
        "narrow_pooled": 0,
    }
    np.testing.assert_allclose(compute(model), before, atol=2e-6, rtol=0)


@pytest.mark.parametrize("add", ["Add (h, b)", "Add (b, h)"])
def test_bias_of_a_layer(add: str) -> None:
    """A static layer and its bias become one node of the layer's name, with the same numbers."""
    model = build(
        f"{QUANTIZE} {product('h')} y = {add}", {**INPUT, **quantized("h", WIDE, 3), "b": normal(WIDE)}
    )
    before = compute(model)
    assert lay_out(model, "onnxruntime") == {
        "open_norms": 0,
        "integer_products": 1,
        "open_gelus": 0,
        "fold_biases": 1,
        "narrow_pooled": 0,
        "slice_outliers": 0,
        "fold_copies": 0,
    }
    assert operators(model) == ["QuantizeLinear", "MatMulIntegerToFloat"]
    assert [node.name for node in model.graph][1] == "h"
    assert [value.name for value in model.graph.outputs] == ["y"]
    np.testing.assert_allclose(compute(model), before, atol=1e-6, rtol=0)


def test_products_are_the_same_bits() -> None:
    """Without a bias the written-out kernel is the one onnxruntime makes of the pair: bit-equal."""
    model = build(f"{QUANTIZE} {product('h', 'y')}", {**INPUT, **quantized("h", WIDE, 3)})
    before = compute(model)
    lay_out(model, "onnxruntime")
    np.testing.assert_array_equal(compute(model), before)


@pytest.mark.parametrize(("gelu", "left"), [("BiasGelu", "Gelu"), ("FastGelu", "FastGelu")])
def test_bias_of_a_gelu(gelu: str, left: str) -> None:
    """The bias of an activation goes into the layer before."""
    body = f"{QUANTIZE} {product('h')} y = com.microsoft.{gelu} (h, b)"
    model = build(body, {**INPUT, **quantized("h", WIDE, 3), "b": normal(WIDE)})
    before = compute(model)
    lay_out(model, "onnxruntime")
    assert operators(model) == ["QuantizeLinear", "MatMulIntegerToFloat", left]
    np.testing.assert_allclose(compute(model), before, atol=2e-6, rtol=0)


def test_gelu_without_avx512_is_a_tanh() -> None:
    """The layout for CPUs without AVX-512 writes Gelu's tanh form, at most 0.0005 from the exact one."""
    body = f"{QUANTIZE} {product('h')} y = com.microsoft.BiasGelu (h, b)"
    model = build(body, {**INPUT, **quantized("h", WIDE, 3), "b": normal(WIDE)})
    before = compute(model)
    counts = lay_out(model, "onnxruntime-avx2")
    assert operators(model) == ["QuantizeLinear", "MatMulIntegerToFloat", "FastGelu"]
    assert expected_after({"BiasGelu": 1}, counts) == {"BiasGelu": 0, "FastGelu": 1}
    np.testing.assert_allclose(compute(model), before, atol=5e-4, rtol=0)


def test_gelu_behind_a_float_layer_stays() -> None:
    """Where there is no integer product, BiasGelu stays as it is."""
    body = "h = MatMul (x, w) y = com.microsoft.BiasGelu (h, b)"
    model = build(body, {"w": normal(HIDDEN, WIDE), "b": normal(WIDE)})
    counts = lay_out(model, "onnxruntime")
    assert operators(model) == ["MatMul", "BiasGelu"]
    assert set(counts.values()) == {0}


@pytest.mark.parametrize("kept", ["", "k"])
def test_bias_of_attention(kept: str) -> None:
    """The bias of attention goes into query, key and value; all stays when one of them is float."""
    weights: dict[str, np.ndarray] = {**INPUT, "bias": normal(3 * HIDDEN), "w": normal(HIDDEN, HIDDEN)}
    layers = []
    for seed, name in enumerate("qkv"):
        weights |= quantized(name, HIDDEN, seed)
        layers.append(f"{name} = MatMul (x, w)" if name == kept else product(name))
    body = (
        f"{QUANTIZE} {' '.join(layers)} y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, v, bias)"
    )
    model = build(body, weights)
    before = compute(model)
    counts = lay_out(model, "onnxruntime")
    assert counts["fold_biases"] == (0 if kept else 3)
    attention = next(node for node in model.graph if node.op_type == "MultiHeadAttention")
    assert (attention.inputs[3] is None) is not bool(kept)
    np.testing.assert_allclose(compute(model), before, atol=2e-6, rtol=0)


@pytest.mark.parametrize("order", ["y0, rest", "rest, y0"])
def test_bias_behind_what_is_added_to_a_product(order: str) -> None:
    """A bias that is added to a product and something else that is computed goes to the product."""
    body = f"{QUANTIZE} {product('y0')} rest = MatMul (x, other) sum = Add ({order}) y = Add (sum, bias)"
    weights = {
        **quantized("y0", WIDE, 1),
        **INPUT,
        "other": normal(HIDDEN, WIDE),
        "bias": normal(WIDE, seed=4),
    }
    model = build(body, weights)
    before = compute(model)
    assert lay_out(model, "onnxruntime")["fold_biases"] == 1
    assert operators(model) == ["QuantizeLinear", "MatMulIntegerToFloat", "MatMul", "Add"]
    np.testing.assert_allclose(compute(model)[0], before[0], atol=1e-4, rtol=0)


def test_two_products_keep_their_bias_outside() -> None:
    """Of two products that are added neither is the one that the bias belongs to."""
    body = f"{QUANTIZE} {product('y0')} {product('y1')} sum = Add (y0, y1) y = Add (sum, bias)"
    weights = {**quantized("y0", WIDE, 1), **quantized("y1", WIDE, 2), **INPUT, "bias": normal(WIDE, seed=4)}
    assert lay_out(build(body, weights), "onnxruntime")["fold_biases"] == 0


def test_shared_product_keeps_its_bias_outside() -> None:
    """What two nodes read without the bias stays without it."""
    body = f"{QUANTIZE} {product('h')} a = Add (h, b) t = Tanh (h) y = Mul (a, t)"
    model = build(body, {**INPUT, **quantized("h", WIDE, 3), "b": normal(WIDE)})
    before = compute(model)
    assert lay_out(model, "onnxruntime")["fold_biases"] == 0
    np.testing.assert_array_equal(compute(model), before)


def test_scales_no_kernel_takes() -> None:
    """A weight with scales per input is refused with the layer's name: it would be computed in float."""
    weights = quantized("h", HIDDEN, 3)
    body = f"{QUANTIZE} {product('h', 'y').replace('axis = 1', 'axis = 0')}"
    model = build(body, {**INPUT, **weights})
    with pytest.raises(QuantizationError, match=r"y: its scales fit no integer kernel"):
        lay_out(model, "onnxruntime")


def test_product_of_two_computed_tensors_stays() -> None:
    """Queries and keys that are quantized are multiplied as before."""
    body = f"{QUANTIZE} t = Transpose <perm = [0, 2, 1]> (xd) y = MatMul (xd, t)"
    model = build(body, INPUT)
    assert set(lay_out(model, "onnxruntime").values()) == {0}
    assert operators(model)[-1] == "MatMul"


def test_fused_layout_changes_nothing() -> None:
    """The layout `fused` has no pass."""
    assert LAYOUTS["fused"] == ()


def test_expected_operators_follow() -> None:
    """What a pass replaces is no longer expected, and what it writes is."""
    expected = {"SkipLayerNormalization": 3, "BiasGelu": 1, "MultiHeadAttention": 1}
    counts = {"open_norms": 3, "integer_products": 6, "open_gelus": 1, "fold_biases": 5}
    assert expected_after(expected, counts) == {
        "SkipLayerNormalization": 0,
        "BiasGelu": 0,
        "MultiHeadAttention": 1,
        "LayerNormalization": 3,
        "Gelu": 1,
    }
