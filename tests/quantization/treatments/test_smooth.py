"""Smoothing moves factors between activations and weights, and changes nothing that is computed."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.treatments.smooth.alpha import alpha_factors
from quantkit.quantization.treatments.smooth.fold import folds, smooth

pytestmark = pytest.mark.avx2

OUTLIER = 40.0


@pytest.fixture
def encoder(bench: Any) -> ir.Model:
    """Return a graph with attention, whose embeddings have one channel that sticks out."""
    names = ("query", "key", "value", "output", "head")
    weights = {f"{name}_weight": bench.normal(32, 32, seed=n, scale=0.18) for n, name in enumerate(names)}
    weights["head_weight"] = bench.normal(32, 2, seed=9)
    weights["bias"] = bench.normal(96, seed=7)
    weights["words_weight"] = bench.normal(40, 32, seed=8)
    weights["words_weight"][:, 3] *= OUTLIER
    projections = " ".join(f"{name} = MatMul (x, {name}_weight)" for name in names[:3])
    body = f"""
        x = Gather (words_weight, input_ids) {projections}
        mixed = com.microsoft.MultiHeadAttention <num_heads = 4> (query, key, value, bias)
        output = MatMul (mixed, output_weight) rest = Add (output, x)
        bent = Tanh (rest) logits = MatMul (bent, head_weight)
    """
    model = bench.build(body, weights)
    next(node for node in model.graph if node.op_type == "MultiHeadAttention").name = "attention"
    return model


def magnitudes(bench: Any, model: ir.Model) -> dict[str, np.ndarray]:
    """Return the largest magnitude of each channel of each layer's input on `bench.ids()`."""
    found = {}
    for layer in linear_layers(model.graph):
        observed = model.clone()
        observed.graph.outputs.clear()
        value = next(v for node in observed.graph for v in node.outputs if v.name == layer.activation.name)
        value.type = ir.TensorType(ir.DataType.FLOAT)
        observed.graph.outputs.append(value)
        found[layer.activation.name or ""] = np.abs(bench.compute(observed, optimize=False)).max(axis=(0, 1))
    return found


def smooth_by_alpha(bench: Any, model: ir.Model, layers: list[Linear], alpha: float) -> int:
    """Smooth the inputs of these layers by SmoothQuant's own factors."""
    readers: dict[str, list[np.ndarray]] = {}
    for layer in layers:
        readers.setdefault(layer.activation.name or "", []).append(layer.matrix())
    seen = magnitudes(bench, model)
    factors = {name: alpha_factors(seen[name], matrices, alpha) for name, matrices in readers.items()}
    return smooth(model, layers, factors)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.75, 1.0])
def test_same_function(bench: Any, encoder: ir.Model, alpha: float) -> None:
    """Results are the same to 120 dB, and attention's output costs no Mul: it goes into the value layer."""
    expected = bench.compute(encoder).astype(np.float64)
    assert smooth_by_alpha(bench, encoder, linear_layers(encoder.graph), alpha) == 1
    noise = bench.compute(encoder) - expected
    assert 20 * np.log10(np.linalg.norm(expected) / np.linalg.norm(noise)) >= 120
    multiplied = [node.name for node in encoder.graph if node.op_type == "Mul"]
    assert multiplied == ["query.input_smooth", "head.input_smooth"]


@pytest.mark.parametrize("bias", [True, False])
def test_attention_that_is_not_fused(bench: Any, unfused: ir.Model, *, bias: bool) -> None:
    """Attention's output costs no Mul in a graph that is not fused either, and results are the same to 120 dB."""
    if not bias:
        add = next(node for node in unfused.graph if node.outputs[0].name == "value_y")
        ir.convenience.replace_all_uses_with(add.outputs[0], add.inputs[1])
        unfused.graph.remove(add, safe=True)
    expected = bench.compute(unfused, optimize=False).astype(np.float64)
    assert smooth_by_alpha(bench, unfused, linear_layers(unfused.graph), 0.75) == 1
    noise = bench.compute(unfused, optimize=False) - expected
    assert 20 * np.log10(np.linalg.norm(expected) / np.linalg.norm(noise)) >= 120
    assert sum(node.op_type == "Mul" for node in unfused.graph) == 1 + 2


@pytest.mark.parametrize("what", ["read twice", "other order", "one bias for all", "fewer channels"])
def test_attention_that_is_otherwise(unfused: ir.Model, what: str) -> None:
    """Where values do not go to the layer alone and channel by channel, nothing is folded into them."""
    nodes = {node.outputs[0].name: node for node in unfused.graph}
    output = next(layer for layer in linear_layers(unfused.graph) if layer.name == "output")
    assert folds([output])
    if what == "read twice":
        nodes["rest"].replace_input_with(1, nodes["value_y"].outputs[0])
    elif what == "other order":
        nodes["turned"].attributes["perm"] = ir.AttrInt64s("perm", [0, 1, 2, 3])
    else:
        changed, place = ("value_y", 0) if what == "one bias for all" else ("value_product", 1)
        array = np.zeros(1 if what == "one bias for all" else (32, 16), np.float32)
        nodes[changed].replace_input_with(place, ir.val("w", const_value=ir.tensor(array, name="w")))
    assert not folds([output])


def test_channels_become_alike(bench: Any, encoder: ir.Model) -> None:
    """With alpha 1 every channel of a smoothed activation has the same largest magnitude."""
    found = magnitudes(bench, encoder)
    smooth_by_alpha(bench, encoder, linear_layers(encoder.graph), 1.0)
    after = magnitudes(bench, encoder)
    names = {layer.name: layer.activation.name for layer in linear_layers(encoder.graph)}
    assert np.ptp(np.log(found["x"])) > 3
    for name in ("query", "output", "head"):
        assert np.ptp(np.log(after[names[name] or ""])) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("shared", ["query", "output"])
def test_shared_weights_are_separated(bench: Any, encoder: ir.Model, shared: str) -> None:
    """A weight that two layers share gets a copy for each, so that neither feels the other's factors."""
    value = next(layer for layer in linear_layers(encoder.graph) if layer.name == "value")
    value.node.replace_input_with(1, encoder.graph.initializers[f"{shared}_weight"])
    expected = bench.compute(encoder)
    smooth_by_alpha(bench, encoder, linear_layers(encoder.graph), 0.75)
    np.testing.assert_allclose(bench.compute(encoder), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_layers_that_stay_float_read_what_they_did(bench: Any, encoder: ir.Model) -> None:
    """A layer that is left out keeps its activation and weight, and the function is the same."""
    expected = bench.compute(encoder)
    layers = [layer for layer in linear_layers(encoder.graph) if layer.name != "key"]
    smooth_by_alpha(bench, encoder, layers, 0.75)
    key = next(layer for layer in linear_layers(encoder.graph) if layer.name == "key")
    assert (key.activation.name, key.weight.name) == ("x", "key_weight")
    np.testing.assert_allclose(bench.compute(encoder), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_attention_output_read_by_others(bench: Any, encoder: ir.Model) -> None:
    """When something else reads attention's output too, the value layer stays and a Mul is put before the layer."""
    mixed = next(node for node in encoder.graph if node.op_type == "MultiHeadAttention").outputs[0]
    next(node for node in encoder.graph if node.op_type == "Add").replace_input_with(1, mixed)
    expected = bench.compute(encoder)
    assert smooth_by_alpha(bench, encoder, linear_layers(encoder.graph), 0.75) == 0
    np.testing.assert_allclose(bench.compute(encoder), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_factors() -> None:
    """S = max|x|^alpha / max|W|^(1 - alpha) with a geometric mean of 1; channels of zeros divide by nothing."""
    x, weight = np.float32([1, 4, 16]), np.float32([[1, -2], [4, 0.5], [0.25, 0.25]])
    raw = np.sqrt(x) / np.sqrt(np.float32([2, 4, 0.25]))
    expected = raw / np.exp(np.log(raw).mean())
    np.testing.assert_allclose(alpha_factors(x, [weight], 0.5), expected, rtol=1e-6)
    both = alpha_factors(x, [weight * 0.1, weight], 0.5)
    np.testing.assert_allclose(both, expected, rtol=1e-6)
    silent = alpha_factors(np.float32([0, 1, 1]), [np.zeros((3, 2), np.float32)], 0.5)
    assert np.isfinite(silent).all()
    assert (silent > 0).all()


def test_folding_is_told_beforehand(encoder: ir.Model) -> None:
    """Only what reads attention's output alone is smoothed at no cost."""
    layers = {layer.name: layer for layer in linear_layers(encoder.graph)}
    assert folds([layers["output"]])
    assert not folds([layers["query"], layers["key"], layers["value"]])
    assert not folds([layers["head"]])


def test_only_what_has_factors_is_smoothed(bench: Any, encoder: ir.Model) -> None:
    """Layers whose tensor has no factors are left as they are."""
    before = {layer.name: layer.weight.name for layer in linear_layers(encoder.graph)}
    factors = {"bent": np.full(32, 2, np.float32)}
    assert smooth(encoder, linear_layers(encoder.graph), factors) == 0
    after = {layer.name: layer.weight.name for layer in linear_layers(encoder.graph)}
    assert {**before, "head": "head.weight_scaled"} == after
