"""Channel shift centres channels, and changes nothing that is computed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from quantkit.graph.linear import linear_layers
from quantkit.quantization.choice import Choice
from quantkit.quantization.observe.observations import Observations
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.shift import Shift, channel_shifts, shift_channels, shifted
from quantkit.quantization.treatments.treated import treat
from quantkit.quantization.write.apply import apply

pytestmark = pytest.mark.avx2

Observe = Callable[[ir.Model], dict[str, Statistics]]
NAMES = ("query", "key", "value", "output", "inner", "head")


@pytest.fixture
def observed(bench: Any, statistics_of: Any) -> Observe:
    """Return a function that gives statistics of what each linear layer reads on `bench.ids()`."""

    def observe(model: ir.Model) -> dict[str, Statistics]:
        found = {}
        for name in {layer.activation.name: None for layer in linear_layers(model.graph)}:
            asked = model.clone()
            asked.graph.outputs.clear()
            value = next(v for node in asked.graph for v in node.outputs if v.name == name)
            value.type = ir.TensorType(ir.DataType.FLOAT)
            asked.graph.outputs.append(value)
            values = bench.compute(asked, optimize=False)
            found[name or ""] = statistics_of(values.reshape(-1, values.shape[-1]))
        return found

    return observe


@pytest.fixture
def encoder(bench: Any) -> ir.Model:
    """Return a fused layer: norm, attention, residual and norm, GELU, and a head behind the last norm."""
    weights = {f"{name}_weight": bench.normal(32, 32, seed=n, scale=0.18) for n, name in enumerate(NAMES)}
    weights |= {
        "head_weight": bench.normal(32, 2, seed=9),
        "head_bias": bench.normal(2, seed=10),
        "qkv_bias": bench.normal(96, seed=7),
        "words_weight": bench.normal(40, 32, seed=8),
        "gamma": bench.normal(32, seed=11),
        # Channels that are far from zero.
        "beta": bench.normal(32, seed=12, scale=5),
        "output_bias": bench.normal(32, seed=13),
        "inner_bias": bench.normal(32, seed=14),
    }
    body = """
        e = Gather (words_weight, input_ids)
        x = LayerNormalization <epsilon = 1e-12> (e, gamma, beta)
        query = MatMul (x, query_weight) key = MatMul (x, key_weight) value = MatMul (x, value_weight)
        mixed = com.microsoft.MultiHeadAttention <num_heads = 4> (query, key, value, qkv_bias)
        output = MatMul (mixed, output_weight)
        y = com.microsoft.SkipLayerNormalization <epsilon = 1e-12> (output, x, gamma, beta, output_bias)
        inner = MatMul (y, inner_weight) bent = com.microsoft.BiasGelu (inner, inner_bias)
        z = com.microsoft.SkipLayerNormalization <epsilon = 1e-12> (y, bent, gamma, beta)
        head = MatMul (z, head_weight) logits = Add (head_bias, head)
    """
    return bench.build(body, weights)


def test_same_function_and_centred(bench: Any, observed: Observe, encoder: ir.Model) -> None:
    """Every channel that a layer reads is centred on zero, the outputs are the same to 110 dB, and no node is added."""
    before = observed(encoder)
    expected, nodes = bench.compute(encoder).astype(np.float64), [node.op_type for node in encoder.graph]
    shifts = channel_shifts(encoder, before)
    assert set(shifts) == {"x", "mixed", "y", "z"}
    shift_channels(encoder, shifts)
    noise = bench.compute(encoder) - expected
    assert 20 * np.log10(np.linalg.norm(expected) / np.linalg.norm(noise)) >= 110
    assert [node.op_type for node in encoder.graph] == nodes
    for name, seen in observed(encoder).items():
        np.testing.assert_allclose(seen.high, -seen.low, rtol=0, atol=1e-4, err_msg=name)
        predicted = shifted(before[name], shifts[name])
        np.testing.assert_allclose(seen.mean, predicted.mean, rtol=0, atol=1e-4)
        np.testing.assert_allclose(seen.moment, predicted.moment, rtol=0, atol=1e-2)


def test_attention_and_residual_that_are_not_fused(bench: Any, observed: Observe, unfused: ir.Model) -> None:
    """A plain graph is shifted too: behind the biases of its layers, here of the values."""
    shifts = channel_shifts(unfused, observed(unfused))
    # The layer behind it has no bias to take z W back.
    assert shifts == {}
    output = next(node for node in unfused.graph if node.name == "output")
    bias = ir.val("output_bias", const_value=ir.tensor(bench.normal(32, seed=3), name="output_bias"))
    unfused.graph.initializers["output_bias"] = bias
    add = ir.node("Add", [output.outputs[0], bias])
    rest = next(node for node in unfused.graph if node.outputs[0].name == "rest")
    unfused.graph.insert_before(rest, add)
    rest.replace_input_with(0, add.outputs[0])
    norm = ir.node("LayerNormalization", [rest.inputs[1], *_constants(unfused.graph)], name="norm")
    norm.outputs[0].name = "normed"
    for layer in linear_layers(unfused.graph)[:3]:
        layer.node.replace_input_with(0, norm.outputs[0])
    rest.replace_input_with(1, norm.outputs[0])
    unfused.graph.insert_before(linear_layers(unfused.graph)[0].node, norm)
    expected = bench.compute(unfused, optimize=False)
    shifts = channel_shifts(unfused, observed(unfused))
    assert set(shifts) == {"normed", "mixed"}
    shift_channels(unfused, shifts)
    found = bench.compute(unfused, optimize=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def _constants(graph: ir.Graph) -> list[ir.Value]:
    values = [ir.val(name, const_value=ir.tensor(np.ones(32, np.float32), name=name)) for name in ("g", "b")]
    for value in values:
        graph.initializers[value.name or ""] = value
    return values


@pytest.mark.parametrize("what", ["other reader", "graph output", "no bias behind"])
def test_what_cannot_be_taken_back_stays(observed: Observe, encoder: ir.Model, what: str) -> None:
    """A tensor stays as it is when one of its readers has no bias, or when users read it."""
    nodes = {node.outputs[0].name: node for node in encoder.graph}
    seen = observed(encoder)
    y = nodes["y"].outputs[0]
    if what == "graph output":
        encoder.graph.outputs.append(y)
    elif what == "other reader":
        nodes["bent"].replace_input_with(0, y)
    else:
        tanh = ir.node("Tanh", [nodes["inner"].outputs[0]])
        encoder.graph.insert_after(nodes["inner"], tanh)
        nodes["bent"].replace_input_with(0, tanh.outputs[0])
    assert set(channel_shifts(encoder, seen)) == {"x", "mixed", "z"}
    # Statistics that were shifted by what the graph is not would spoil every range.
    with pytest.raises(ValueError, match=r"^y: cannot be shifted"):
        shift_channels(encoder, {"x": np.zeros(32, np.float32), "y": np.zeros(32, np.float32)})


tokens = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-8, 8, width=32),
)


@given(sample=tokens)
def test_statistics_are_those_of_the_shifted_tokens(statistics_of: Any, sample: np.ndarray) -> None:
    """Extremes, means and moments of x - z follow from those of x; float32 moments of up to 64 to 1e-3."""
    seen = statistics_of(sample)
    shift = (seen.low + seen.high) / 2
    found, expected = shifted(seen, shift), statistics_of(sample - shift)
    for what in ("low", "high", "mean", "square", "moment", "sample"):
        np.testing.assert_allclose(getattr(found, what), getattr(expected, what), rtol=0, atol=1e-3)


def test_less_noise(bench: Any, observed: Observe, encoder: ir.Model) -> None:
    """Channels far from zero: plain static INT8 makes less than half the error when they are centred."""
    expected, errors = bench.compute(encoder), []
    static = Choice(scheme="static")
    for centred in (False, True):
        model, seen = encoder.clone(), observed(encoder)
        treated = treat(model, Observations(statistics=seen), (Shift,) if centred else ())
        assignment = {layer.name: static for layer in linear_layers(model.graph)}
        apply(model, assignment, treated)
        errors.append(np.square(bench.compute(model) - expected).mean())
    assert errors[1] < errors[0] / 2
