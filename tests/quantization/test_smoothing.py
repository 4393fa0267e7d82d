"""Smoothing moves factors between activations and weights, and changes nothing that is computed."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.linear import linear_layers
from quantkit.quantization.smoothing import ChannelObserver, smooth, smoothing_factors
from quantkit.runtime.batching import Batch

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


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.75, 1.0])
def test_same_function(bench: Any, encoder: ir.Model, alpha: float) -> None:
    """Results are the same to 120 dB, and attention's output costs no Mul: it goes into the value layer."""
    expected = bench.compute(encoder).astype(np.float64)
    found = magnitudes(bench, encoder)
    assert smooth(encoder, linear_layers(encoder.graph), found, alpha) == 1
    noise = bench.compute(encoder) - expected
    assert 20 * np.log10(np.linalg.norm(expected) / np.linalg.norm(noise)) >= 120
    multiplied = [node.name for node in encoder.graph if node.op_type == "Mul"]
    assert ["query.input_smooth", "head.input_smooth"] == multiplied


def test_channels_become_alike(bench: Any, encoder: ir.Model) -> None:
    """With alpha 1 every channel of a smoothed activation has the same largest magnitude."""
    found = magnitudes(bench, encoder)
    smooth(encoder, linear_layers(encoder.graph), found, 1.0)
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
    smooth(encoder, linear_layers(encoder.graph), magnitudes(bench, encoder), 0.75)
    np.testing.assert_allclose(bench.compute(encoder), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_layers_that_stay_float_read_what_they_did(bench: Any, encoder: ir.Model) -> None:
    """A layer that is left out keeps its activation and weight, and the function is the same."""
    expected = bench.compute(encoder)
    layers = [layer for layer in linear_layers(encoder.graph) if layer.name != "key"]
    smooth(encoder, layers, magnitudes(bench, encoder), 0.75)
    key = next(layer for layer in linear_layers(encoder.graph) if layer.name == "key")
    assert (key.activation.name, key.weight.name) == ("x", "key_weight")
    np.testing.assert_allclose(bench.compute(encoder), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_attention_output_read_by_others(bench: Any, encoder: ir.Model) -> None:
    """When something else reads attention's output too, the value layer stays and a Mul is put before the layer."""
    mixed = next(node for node in encoder.graph if node.op_type == "MultiHeadAttention").outputs[0]
    next(node for node in encoder.graph if node.op_type == "Add").replace_input_with(1, mixed)
    expected = bench.compute(encoder)
    assert smooth(encoder, linear_layers(encoder.graph), magnitudes(bench, encoder), 0.75) == 0
    np.testing.assert_allclose(bench.compute(encoder), expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_factors() -> None:
    """S = max|x|^alpha / max|W|^(1 - alpha) with a geometric mean of 1; channels of zeros divide by nothing."""
    x, weight = np.float32([1, 4, 16]), np.float32([[1, -2], [4, 0.5], [0.25, 0.25]])
    raw = np.sqrt(x) / np.sqrt(np.float32([2, 4, 0.25]))
    expected = raw / np.exp(np.log(raw).mean())
    np.testing.assert_allclose(smoothing_factors(x, [weight], 0.5), expected, rtol=1e-6)
    both = smoothing_factors(x, [weight * 0.1, weight], 0.5)
    np.testing.assert_allclose(both, expected, rtol=1e-6)
    silent = smoothing_factors(np.float32([0, 1, 1]), [np.zeros((3, 2), np.float32)], 0.5)
    assert np.isfinite(silent).all()
    assert (silent > 0).all()


def test_observed_channels() -> None:
    """The largest magnitude of each channel over all rows, for token and pooled activations."""
    observer = ChannelObserver(["tokens", "pooled"])
    batch = Batch(indices=(0,), length=2)
    observer.consume(batch, (np.float32([[[1, -5], [2, 3]]]), np.float32([[1, -1]])))
    observer.consume(batch, (np.float32([[[-4, 0], [0, 0]]]), np.float32([[0, -3]])))
    found = observer.magnitudes()
    assert {"tokens": [4, 5], "pooled": [1, 3]} == {name: array.tolist() for name, array in found.items()}
