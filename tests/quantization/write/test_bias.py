"""Bias correction moves outputs by exactly the shift, wherever the bias is, and nobody else's."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.errors import QuantizationError
from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.affine import QuantizedWeight
from quantkit.quantization.rounding import ROUNDINGS, Problem
from quantkit.quantization.write.bias import correct_bias
from quantkit.quantization.write.blockwise import quantize_blockwise
from quantkit.quantization.write.dynamic import quantize_dynamic
from quantkit.quantization.write.static import quantize_static

pytestmark = pytest.mark.avx2

WIDTH = 32
SHIFT = np.linspace(-2, 3, WIDTH, dtype=np.float32)
# float32 sums of 32 products of about 1, in another order.
ATOL = 1e-5


def build(bench: Any, body: str, **weights: np.ndarray) -> ir.Model:
    """Return a graph in which the layer `a` reads embeddings."""
    constants = {
        "words_weight": bench.normal(40, WIDTH, seed=1),
        "a_weight": bench.normal(WIDTH, WIDTH, seed=2, scale=0.18),
        **weights,
    }
    return bench.build(f"x = Gather (words_weight, input_ids) {body}", constants)


def layer_of(model: ir.Model, name: str = "a") -> Linear:
    """Return a layer by name."""
    return next(layer for layer in linear_layers(model.graph) if layer.name == name)


def nodes(model: ir.Model) -> list[str]:
    """Return the operators in order."""
    return [node.op_type for node in model.graph]


def gelu(x: np.ndarray) -> np.ndarray:
    """Return x Φ(x)."""
    from math import erf

    return np.asarray(x * (1 + np.vectorize(erf)(x / np.sqrt(2))) / 2)


def fast_gelu(x: np.ndarray) -> np.ndarray:
    """Return GELU by tanh."""
    return np.asarray(x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2)


def normed(x: np.ndarray) -> np.ndarray:
    """Return x with mean 0 and variance 1."""
    return np.asarray((x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12))


# What reads a layer without bias: its operators, and what it computes of the layer's output and the embeddings.
ReaderFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
READERS: Mapping[str, tuple[str, ReaderFunction]] = {
    "add": ("logits = Add (h, bias)", lambda h, x: h),
    "add_first": ("logits = Add (bias, h)", lambda h, x: h),
    "bias_gelu": ("logits = com.microsoft.BiasGelu (h, bias)", lambda h, x: gelu(h)),
    "fast_gelu": ("logits = com.microsoft.FastGelu (h, bias)", lambda h, x: fast_gelu(h)),
    "skip": (
        "logits = com.microsoft.SkipLayerNormalization <epsilon = 1e-12> (h, x, ones, zeros, bias)",
        lambda h, x: normed(h + x),
    ),
    "skip_second": (
        "logits = com.microsoft.SkipLayerNormalization <epsilon = 1e-12> (x, h, ones, zeros, bias)",
        lambda h, x: normed(h + x),
    ),
}
WITHOUT = {
    "fast_gelu": READERS["fast_gelu"][0].replace(", bias", ""),
    "skip": READERS["skip"][0].replace(", bias", ""),
}


@pytest.mark.parametrize(
    ("reader", "has_bias"), [*((name, True) for name in READERS), *((n, False) for n in WITHOUT)]
)
def test_readers_with_a_bias(bench: Any, reader: str, has_bias: bool) -> None:
    """The bias of the one node that reads the layer takes the shift; there are no nodes more than before."""
    text, function = READERS[reader]
    bias = bench.normal(WIDTH, seed=3) if has_bias else np.zeros(WIDTH, np.float32)
    model = build(
        bench,
        f"h = MatMul (x, a_weight) {text if has_bias else WITHOUT[reader]}",
        bias=bias,
        ones=np.ones(WIDTH, np.float32),
        zeros=np.zeros(WIDTH, np.float32),
    )
    x = bench.normal(40, WIDTH, seed=1)[bench.ids()["input_ids"]].astype(np.float64)
    h = x @ layer_of(model).matrix() + bias
    before = nodes(model)
    np.testing.assert_allclose(bench.compute(model), function(h, x), rtol=0, atol=10 * ATOL)
    correct_bias(model.graph, layer_of(model), SHIFT)
    # FastGelu's tanh is an approximation of its own, by less than this.
    np.testing.assert_allclose(bench.compute(model), function(h + SHIFT, x), rtol=0, atol=10 * ATOL)
    assert nodes(model) == before


@pytest.mark.parametrize("shape", [(), (1,), (WIDTH,), (1, WIDTH), (1, 1, WIDTH)])
def test_bias_of_any_shape(bench: Any, shape: tuple[int, ...]) -> None:
    """A bias that is one number for all, or has leading ones, is moved output by output."""
    model = build(bench, "h = MatMul (x, a_weight) logits = Add (h, bias)", bias=bench.normal(*shape, seed=3))
    expected = bench.compute(model) + SHIFT
    correct_bias(model.graph, layer_of(model), SHIFT)
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=ATOL)
    assert nodes(model) == ["Gather", "MatMul", "Add"]


@pytest.mark.parametrize("corrected", [("query",), ("key",), ("value",), ("value", "query", "key", "query")])
def test_attention(bench: Any, corrected: tuple[str, ...]) -> None:
    """Each of query, key and value has its part of attention's bias; values may be of another width."""
    wide = 64
    names = ("query", "key", "value")
    weights = {f"{n}_weight": bench.normal(WIDTH, WIDTH, seed=i, scale=0.18) for i, n in enumerate(names)}
    weights["value_weight"] = bench.normal(WIDTH, wide, seed=5, scale=0.18)
    weights["bias"] = bench.normal(2 * WIDTH + wide, seed=7)
    products = " ".join(f"{name} = MatMul (x, {name}_weight)" for name in names)
    attention = "com.microsoft.MultiHeadAttention <num_heads = 4>"
    model = build(bench, f"{products} logits = {attention} (query, key, value, bias)", **weights)
    # The same with Add in the place of the bias.
    adds = " ".join(f"{name}_2 = Add ({name}, {name}_bias)" for name in names)
    places = {"query": slice(0, WIDTH), "key": slice(WIDTH, 2 * WIDTH), "value": slice(2 * WIDTH, None)}
    biases = {f"{name}_bias": weights["bias"][places[name]].copy() for name in names}
    other = build(
        bench,
        f"{products} {adds} logits = {attention} (query_2, key_2, value_2)",
        **{name: array for name, array in weights.items() if name != "bias"},
        **biases,
    )
    for name in corrected:
        shift = np.resize(SHIFT, wide if name == "value" else WIDTH)
        biases[f"{name}_bias"] += shift
        other.graph.initializers[f"{name}_bias"].const_value = ir.tensor(biases[f"{name}_bias"])
        correct_bias(model.graph, layer_of(model, name), shift)
    np.testing.assert_allclose(bench.compute(model), bench.compute(other), rtol=0, atol=ATOL)
    assert nodes(model) == ["Gather", *["MatMul"] * 3, "MultiHeadAttention"]


@pytest.mark.parametrize("bias", ["", ", bias"])
def test_gemm(bench: Any, bias: str) -> None:
    """A Gemm's third input takes the shift, and is made where there is none."""
    weights = {
        "words_weight": bench.normal(40, WIDTH, seed=1),
        "a_weight": bench.normal(WIDTH, WIDTH, seed=2),
        "bias": bench.normal(WIDTH, seed=3),
        "first": np.asarray(0, np.int64),
    }
    body = f"""
        x = Gather (words_weight, input_ids) row = Gather <axis = 1> (x, first)
        logits = Gemm <transB = 1> (row, a_weight{bias})
    """
    model = bench.build(body, weights, "float[batch, width] logits")
    expected = bench.compute(model) + SHIFT
    correct_bias(model.graph, layer_of(model), SHIFT)
    # Products of weights and activations of about 1: sums of about 6.
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=5 * ATOL)
    assert nodes(model) == ["Gather", "Gather", "Gemm"]


@pytest.mark.parametrize(
    "body",
    [
        "logits = MatMul (x, a_weight)",
        "h = MatMul (x, a_weight) logits = Identity (h)",
        "h = MatMul (x, a_weight) logits = Add (h, h)",
        "h = MatMul (x, a_weight) more = Add (h, bias) logits = Sub (more, h)",
        "h = MatMul (x, a_weight) logits = Add (h, x)",
        "h = MatMul (x, a_weight) logits = com.microsoft.BiasGelu (x, bias) unused = Identity (h)",
        "h = MatMul (x, a_weight) logits = com.microsoft.MultiHeadAttention <num_heads = 4> (h, x, x)",
        "h = MatMul (x, a_weight) logits = com.microsoft.MultiHeadAttention <num_heads = 4> (h, h, h, bias3)",
    ],
)
def test_no_bias_to_be_found(bench: Any, body: str) -> None:
    """Where no constant is the layer's alone an Add is put behind it, for all that read it."""
    weights = {"bias": bench.normal(WIDTH, seed=3), "bias3": bench.normal(3 * WIDTH, seed=4)}
    model = build(bench, body, **weights)
    same = "logits = MatMul" in body
    product, result = ("h0", "logits") if same else ("h0", "h")
    text = body.replace(
        f"{result} = MatMul (x, a_weight)", f"{product} = MatMul (x, a_weight) {result} = Add (h0, s)"
    )
    expected = bench.compute(build(bench, text, **weights, s=SHIFT))
    correct_bias(model.graph, layer_of(model), SHIFT)
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=ATOL)
    assert [output.name for output in model.graph.outputs] == ["logits"]
    assert "a.bias_correction" in [node.name for node in model.graph]


def test_twice(bench: Any) -> None:
    """Two shifts add up, also behind an Add that the first one put there."""
    for body in ("logits = MatMul (x, a_weight)", "h = MatMul (x, a_weight) logits = Add (h, bias)"):
        model = build(bench, body, bias=bench.normal(WIDTH, seed=3))
        expected = bench.compute(model) + 3 * SHIFT
        correct_bias(model.graph, layer_of(model), SHIFT)
        correct_bias(model.graph, layer_of(model), 2 * SHIFT)
        np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=ATOL)
        assert nodes(model) == ["Gather", "MatMul", "Add"]


def test_shared_bias(bench: Any) -> None:
    """A constant that others read stays as it is for them."""
    body = "h = MatMul (x, a_weight) g = Add (h, bias) two = Add (x, bias) logits = Sub (g, two)"
    model = build(bench, body, bias=bench.normal(WIDTH, seed=3))
    expected = bench.compute(model) + SHIFT
    correct_bias(model.graph, layer_of(model), SHIFT)
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("scheme", ["static", "dynamic", "blockwise"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_shift_survives_the_rewrites(bench: Any, scheme: str, bias: bool) -> None:
    """A layer that is quantized after the correction has outputs moved by the same shift."""
    body = "h = MatMul (x, a_weight) logits = Add (h, bias)" if bias else "logits = MatMul (x, a_weight)"
    found = []
    for shift in (np.zeros(WIDTH, np.float32), SHIFT):
        model = build(bench, body, bias=bench.normal(WIDTH, seed=3))
        layer = layer_of(model)
        correct_bias(model.graph, layer, shift)
        weights: dict[str, QuantizedWeight] = {
            "a": ROUNDINGS["nearest"](Problem(name="a", matrix=layer.matrix()))
        }
        if scheme == "static":
            quantize_static(model, [layer], {"x": (-4.0, 4.0)}, weights)
        elif scheme == "dynamic":
            quantize_dynamic(model, [layer], weights)
        else:
            quantize_blockwise(model, [layer], 16)
        assert [entry.name for entry in bench.trace(model).layers] == ["a"]
        found.append(bench.compute(model))
    np.testing.assert_allclose(found[1] - found[0], np.broadcast_to(SHIFT, found[0].shape), rtol=0, atol=ATOL)


def test_broken_shift(bench: Any) -> None:
    """NaN is refused with the layer's name, and a shift of another width is a bug."""
    model = build(bench, "logits = MatMul (x, a_weight)")
    with pytest.raises(QuantizationError, match="a: its bias correction holds NaN"):
        correct_bias(model.graph, layer_of(model), np.full(WIDTH, np.nan, np.float32))
    with pytest.raises(ValueError, match=r"a: a shift of shape \(3,\) for 32 outputs"):
        correct_bias(model.graph, layer_of(model), np.ones(3, np.float32))
