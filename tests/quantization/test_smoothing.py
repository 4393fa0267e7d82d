"""SmoothQuant: the function stays, the channels become alike."""

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.graph.linear import linear_layers
from quantkit.quantization.smoothing import ChannelObserver, smooth, smoothing_factors
from quantkit.runtime.batching import Batch

HEADS, WIDTH = 2, 8


def _attention_model(rng: np.random.Generator) -> ir.Model:
    """X → query, key, value → MultiHeadAttention → output layer → y, and x + y; weights are constants."""
    x = ir.val("x", ir.DataType.FLOAT, ["batch", "sequence", WIDTH])
    constants: dict[str, ir.Value] = {}

    def constant(name: str, *shape: int) -> ir.Value:
        array = rng.normal(size=shape).astype(np.float32)
        constants[name] = ir.val(name, const_value=ir.tensor(array, name=name))
        return constants[name]

    def linear(name: str, source: ir.Value) -> ir.Node:
        node = ir.node("MatMul", [source, constant(f"{name}.weight", WIDTH, WIDTH)], name=name)
        node.outputs[0].name = f"{name}_out"
        return node

    query, key, value = (linear(name, x) for name in ("query", "key", "value"))
    attention = ir.node(
        "MultiHeadAttention",
        [query.outputs[0], key.outputs[0], value.outputs[0], constant("attention.bias", 3 * WIDTH)],
        attributes={"num_heads": HEADS},
        domain="com.microsoft",
        name="attention",
    )
    attention.outputs[0].name = "context"
    output = linear("output", attention.outputs[0])
    residual = ir.node("Add", [output.outputs[0], x], name="residual")
    residual.outputs[0].name = "y"
    residual.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [x],
        [residual.outputs[0]],
        nodes=[query, key, value, attention, output, residual],
        initializers=list(constants.values()),
        opset_imports={"": 17, "com.microsoft": 1},
        name="tiny",
    )
    return ir.Model(graph, ir_version=10)


def _run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found: np.ndarray = session.run(None, {"x": x})[0]
    return found


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.75, 1.0])
def test_function_is_unchanged(alpha: float) -> None:
    """Smoothing changes no output (relative 1e-5), and attention's output is folded into the value layer."""
    rng = np.random.default_rng(0)
    model = _attention_model(rng)
    x = rng.normal(size=(2, 5, WIDTH)).astype(np.float32)
    x[..., 3] *= 50
    before = _run(model, x)
    magnitudes = {
        "x": np.abs(x).max(axis=(0, 1)),
        "context": np.linspace(0.1, 20, WIDTH, dtype=np.float32),
    }

    folded = smooth(model, linear_layers(model.graph), magnitudes, alpha)

    assert folded == 1
    assert sum(node.op_type == "Mul" for node in model.graph) == 1
    np.testing.assert_allclose(_run(model, x), before, rtol=1e-4, atol=1e-4 * np.abs(before).max())


def test_shared_weight_is_left_alone() -> None:
    """A weight that another layer uses too keeps its values: the smoothed layer gets a constant of its own."""
    rng = np.random.default_rng(1)
    model = _attention_model(rng)
    layers = {layer.name: layer for layer in linear_layers(model.graph)}
    shared = layers["query"].weight
    layers["key"].node.replace_input_with(1, shared)
    original = shared.const_value.numpy().copy()
    x = rng.normal(size=(1, 4, WIDTH)).astype(np.float32)
    before = _run(model, x)

    only_query = [layer for layer in linear_layers(model.graph) if layer.name == "query"]
    smooth(model, only_query, {"x": np.abs(x).max(axis=(0, 1))}, 0.5)

    np.testing.assert_array_equal(shared.const_value.numpy(), original)
    np.testing.assert_allclose(_run(model, x), before, rtol=1e-4, atol=1e-4)


def test_context_read_by_others_is_not_folded() -> None:
    """When somebody else reads attention's output, the value layer stays as it is and a Mul is put in."""
    rng = np.random.default_rng(2)
    model = _attention_model(rng)
    residual = next(node for node in model.graph if node.name == "residual")
    context = next(node for node in model.graph if node.name == "attention").outputs[0]
    residual.replace_input_with(1, context)
    output = [layer for layer in linear_layers(model.graph) if layer.name == "output"]

    folded = smooth(model, output, {"context": np.arange(1, WIDTH + 1, dtype=np.float32)}, 0.5)

    assert folded == 0
    assert sum(node.op_type == "Mul" for node in model.graph) == 1


def test_factors_even_out_channels() -> None:
    """With alpha 1 all channels end at the same magnitude; with alpha 0.5 an outlier ends nearer to the others."""
    magnitudes = np.array([1, 1, 1, 50], np.float32)
    weight = np.ones((4, 3), np.float32)
    even = magnitudes / smoothing_factors(magnitudes, [weight], 1.0)
    nearer = magnitudes / smoothing_factors(magnitudes, [weight], 0.5)

    np.testing.assert_allclose(even, np.full(4, even[0]), rtol=1e-5)
    assert 7.0 < nearer.max() / nearer.min() < 7.2  # the square root of 50


def test_dead_channels_stay_finite() -> None:
    """A channel that is always 0, or that no weight reads, gets a finite factor."""
    factors = smoothing_factors(
        np.array([0, 1, 2], np.float32), [np.array([[1], [0], [3]], np.float32)], 0.75
    )
    assert np.isfinite(factors).all()
    assert (factors > 0).all()


def test_observer_takes_largest_magnitude() -> None:
    """Magnitudes are those of all rows together, channel by channel."""
    observer = ChannelObserver(["a"])
    batch = Batch(indices=(0,), length=2)
    observer.consume(batch, (np.array([[[1, -5], [2, 1]]], np.float32),))
    observer.consume(batch, (np.array([[[-3, 0]]], np.float32),))
    np.testing.assert_array_equal(observer.magnitudes()["a"], np.array([3, 5], np.float32))
