"""Split channels: the product stays the same, the copies are those that stick out, and rounding is less of a loss."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.graph.linear import linear_layers
from quantkit.quantization.choice import Choice
from quantkit.quantization.grids import GRIDS
from quantkit.quantization.observe.observations import Observations
from quantkit.quantization.observe.range import RangeRule
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split, find_split, split_channels, split_evenly
from quantkit.quantization.treatments.treated import Treated
from quantkit.quantization.write.apply import apply

pytestmark = pytest.mark.avx2

CHANNELS, OUTPUTS, TOKENS = 48, 24, 2000
ODD = [7, 30]
STATIC = Choice(scheme="static", treatments=(Smooth(),), rounding="gptq", bias_correction=True)


def tokens(seed: int = 0) -> np.ndarray:
    """Return float32 noise in which two channels are 60 times as large."""
    values = np.random.default_rng(seed).normal(size=(TOKENS, CHANNELS)).astype(np.float32)
    values[:, ODD] *= 60
    return values


def seen(values: np.ndarray) -> Statistics:
    """Return all statistics of these tokens."""
    return Statistics(
        low=values.min(axis=0),
        high=values.max(axis=0),
        mean=values.mean(axis=0, dtype=np.float64),
        square=np.square(values, dtype=np.float64).mean(axis=0),
        tokens=len(values),
        moment=(values.T @ values / len(values)).astype(np.float32),
        sample=values,
    )


def weight(seed: int = 1) -> np.ndarray:
    """Return a float32 weight."""
    return np.random.default_rng(seed).normal(size=(CHANNELS, OUTPUTS)).astype(np.float32)


def model_of(*matrices: np.ndarray) -> ir.Model:
    """Return layers that read x [rows, tokens, CHANNELS], one output each."""
    source = ir.val("x", ir.DataType.FLOAT, ir.Shape(["rows", "tokens", CHANNELS]))
    nodes, weights = [], []
    for index, matrix in enumerate(matrices):
        weights.append(
            ir.val(f"layer{index}.weight", const_value=ir.tensor(matrix, name=f"layer{index}.weight"))
        )
        node = ir.node("MatMul", [source, weights[-1]], name=f"layer{index}")
        node.outputs[0].name = f"y{index}"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        nodes.append(node)
    outputs = [node.outputs[0] for node in nodes]
    graph = ir.Graph([source], outputs, nodes=nodes, initializers=weights, opset_imports={"": 17}, name="g")
    return ir.Model(graph, ir_version=8)


def compute(model: ir.Model, values: np.ndarray) -> list[np.ndarray]:
    """Run a model on one row of tokens."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, ["CPUExecutionProvider"]
    )
    return [output[0] for output in session.run(None, {"x": values[None]})]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_parts_of_a_channel_sum_to_one(times: list[int]) -> None:
    """Every channel is read as often as asked; its parts are positive, differ, and sum to 1 within 1e-6."""
    split = split_evenly(np.array(times))
    assert len(split.copies) == sum(times) - len(times)
    for channel, count in enumerate(times):
        parts = split.shares[split.channels == channel]
        assert len(parts) == count
        assert len(set(parts.tolist())) == count
        assert parts.min() > 0
        assert float(parts.sum()) == pytest.approx(1, abs=1e-6)


@given(st.integers(0, 40), st.integers(0, 5))
def test_as_many_copies_as_asked(count: int, seed: int) -> None:
    """Copies are as many as asked, and all of the two channels that stick out."""
    split = find_split(seen(tokens(seed)), [weight(seed)], count)
    assert len(split.copies) == count
    assert set(split.copies.tolist()) <= set(ODD)


def test_a_dead_tensor_is_not_split() -> None:
    """Of zeros nothing is copied, and the graph has no empty copies."""
    dead = seen(np.zeros((4, CHANNELS), np.float32))
    assert not len(find_split(dead, [weight()], 16).copies)
    model = model_of(weight())
    choice = replace(STATIC, rounding="nearest", treatments=(Split(16), Smooth()))
    apply(model, {"layer0": choice}, Treated(observations=Observations(statistics={"x": dead})))
    assert not {"Gather", "Concat"} & {node.op_type for node in model.graph}


def test_copies_lower_the_most_in_any_one() -> None:
    """By hand: of weights 12, 5 and 4 two copies go to the first, as 12 / 3 is still no less than any other share."""
    values = np.diag([12.0, 5.0, 4.0]).astype(np.float32)
    split = find_split(seen(values), [np.ones((3, 1), np.float32)], 2)
    assert split.copies.tolist() == [0, 0]
    three = find_split(seen(values), [np.ones((3, 1), np.float32)], 3)
    assert three.copies.tolist() == [0, 0, 1]


def test_the_product_stays() -> None:
    """Layers with copies compute the same as before, within 2e-6 of the largest; another reader is not touched."""
    matrices = [weight(1), weight(2), weight(3)]
    values = tokens()[:50]
    model = model_of(*matrices)
    before = compute(model, values)
    layers = linear_layers(model.graph)[:2]
    split_channels(model.graph, layers, find_split(seen(tokens()), matrices[:2], 16))
    assert [node.op_type for node in model.graph] == ["Gather", "Concat", "MatMul", "MatMul", "MatMul"]
    assert linear_layers(model.graph)[2].activation.name == "x"
    assert [layer.shape[0] for layer in linear_layers(model.graph)] == [
        CHANNELS + 16,
        CHANNELS + 16,
        CHANNELS,
    ]
    for found, wanted in zip(compute(model, values), before, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-6 * np.abs(wanted).max(), rtol=0)


def test_statistics_are_those_of_the_copied_tensor() -> None:
    """What is known of the tensor with its copies is what would be seen of it, up to the order of sums."""
    split = find_split(seen(tokens()), [weight()], 9)
    found, wanted = split.statistics(seen(tokens())), seen(split.values(tokens()))
    for name in ("low", "high", "sample"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert found.moment is not None
    assert wanted.moment is not None
    # Sums of float32 in another order.
    np.testing.assert_allclose(
        found.moment, wanted.moment, rtol=1e-4, atol=1e-4 * np.abs(wanted.moment).max()
    )
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-12)


@pytest.mark.parametrize("grid", [True, False], ids=["per channel", "per tensor"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"range": RangeRule(symmetric=True)}, {"treatments": (Smooth(0.8),)}],
    ids=["plain", "symmetric", "alpha"],
)
def test_one_of_two_readers_is_split(changes: dict[str, Any], grid: bool, exact_grid: str) -> None:
    """A layer with copies stays within 2 % of float, and one that reads the tensor by another choice is whole."""
    values = tokens()
    treated = Treated(observations=Observations(statistics={"x": seen(values)}))
    model = model_of(weight(1), weight(2))
    wanted = compute(model, values[:300])
    whole = replace(STATIC, bias_correction=False, per_channel=grid, grid=GRIDS[exact_grid], **changes)
    chosen = {"layer0": replace(whole, treatments=(Split(16), *whole.treatments)), "layer1": whole}
    apply(model, chosen, treated)
    rows = {
        (node.name or "").split(".")[0]: node.inputs[0].const_value.shape[0]
        for node in model.graph
        if node.op_type == "DequantizeLinear"
        and node.inputs[0] is not None
        and node.inputs[0].const_value is not None
    }
    assert rows == {"layer0": CHANNELS + 16, "layer1": CHANNELS}
    for found, expected in zip(compute(model, values[:300]), wanted, strict=True):
        assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).mean()


def test_splitting_makes_less_noise(exact_grid: str) -> None:
    """As executed, the error of a layer with two channels that stick out is less than half of what smoothing leaves."""
    values = tokens()
    treated = Treated(observations=Observations(statistics={"x": seen(values)}))
    errors = {}
    for split in ((), (Split(16),)):
        model = model_of(weight())
        [wanted] = compute(model, values[:500])
        choice = replace(STATIC, bias_correction=False, grid=GRIDS[exact_grid], treatments=(*split, Smooth()))
        apply(model, {"layer0": choice}, treated)
        [found] = compute(model, values[:500])
        errors[len(split)] = float(np.square(found - wanted).mean())
    assert errors[1] < 0.5 * errors[0]
