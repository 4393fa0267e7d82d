"""Queries and keys in INT8: which tensors they are, what is put behind them, and what is refused."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.errors import QuantizationError
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.quantization.observe.observations import Observations
from quantkit.quantization.observe.range import Range
from quantkit.quantization.write.attention import ScoreInput, calibrate_scores, quantize_scores, score_inputs

pytestmark = pytest.mark.avx2

QUERY, KEY = ScoreInput(layer="query", tensor="query_y"), ScoreInput(layer="key", tensor="key_y")


@dataclass(frozen=True)
class Row:
    """A calibration row."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray


def node_of(model: ir.Model, output: str) -> ir.Node:
    """Return the node that makes a tensor."""
    return next(node for node in model.graph if node.outputs[0].name == output)


def constant(name: str, *shape: int) -> ir.Value:
    """Return a float32 initializer of ones."""
    return ir.val(name, const_value=ir.tensor(np.ones(shape, np.float32), name=name))


def bounds(largest: float) -> Range:
    """Return a range around zero."""
    return Range(low=-largest, high=largest, seen_low=-largest, seen_high=largest)


def test_queries_and_keys_are_found(unfused: ir.Model) -> None:
    """They are the outputs of the two layers that a Softmax reads the product of, with their biases."""
    assert score_inputs(unfused) == [QUERY, KEY]


def test_scaling_before_the_product_and_masks_after_it(unfused: ir.Model) -> None:
    """A scale on the queries, a mask that is added and one that selects hide nothing."""
    graph = unfused.graph
    scaled = ir.node("Mul", [constant("s", 1), node_of(unfused, "query_y").outputs[0]], name="scaling")
    graph.insert_after(node_of(unfused, "query_y"), scaled)
    node_of(unfused, "query_split").replace_input_with(0, scaled.outputs[0])
    added = ir.node("Add", [constant("mask", 1, 1, 1), node_of(unfused, "scores").outputs[0]], name="mask")
    chosen = ir.node("Where", [constant("kept", 1), added.outputs[0], constant("least", 1)], name="choice")
    graph.insert_after(node_of(unfused, "scores"), [added, chosen])
    node_of(unfused, "probabilities").replace_input_with(0, chosen.outputs[0])
    assert score_inputs(unfused) == [QUERY, KEY]


def test_layers_without_bias(unfused: ir.Model) -> None:
    """Without a bias it is the output of the product itself."""
    node_of(unfused, "query_split").replace_input_with(0, node_of(unfused, "query_product").outputs[0])
    assert [ScoreInput(layer="query", tensor="query_product"), KEY] == score_inputs(unfused)


def test_values_are_rounded_to_the_grid(bench: Any, unfused: ir.Model) -> None:
    """Readers of the tensor read multiples of largest / 127 that are off by half a step at most; names stay."""
    found = score_inputs(unfused)
    exact = observed(bench, unfused, "key_split")
    largest = float(np.abs(exact).max())
    ranges = {"query_y": bounds(1000.0), "key_y": bounds(largest)}
    assert quantize_scores(unfused, found, ranges) == 2
    pairs = [
        node.op_type for node in unfused.graph if "Quantize" in node.op_type or "quantize" in node.op_type
    ]
    assert sorted(pairs) == ["DequantizeLinear"] * 2 + ["QuantizeLinear"] * 2
    zero = unfused.graph.initializers["key.output_zero_point"].const_value
    assert zero is not None
    assert (zero.dtype, zero.numpy().item()) == (ir.DataType.INT8, 0)
    rounded, step = observed(bench, unfused, "key_split"), largest / 127
    np.testing.assert_allclose(rounded / step, np.rint(rounded / step), rtol=0, atol=1e-3)
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=step * 0.501)
    assert np.abs(rounded - exact).max() > step / 4


def test_a_tensor_of_zeros(unfused: ir.Model) -> None:
    """A range of nothing gets a step that divides."""
    quantize_scores(unfused, [QUERY], {"query_y": bounds(0.0)})
    scale = unfused.graph.initializers["query.output_scale"].const_value
    assert scale is not None
    assert scale.numpy().item() == 1.0


def test_ranges_are_those_of_the_rows(bench: Any, unfused: ir.Model) -> None:
    """The extremes of all tokens of all rows; the graph's outputs are as before."""
    rows = [Row(input_ids=ids, token_type_ids=np.zeros_like(ids)) for ids in bench.ids()["input_ids"]]
    observations = Observations(job=CalibrationJob(rows=rows, pad_id=0), key="a")
    found = calibrate_scores(unfused, [QUERY, KEY], observations)
    for name in ("query", "key"):
        values, bounds_found = observed(bench, unfused, f"{name}_split"), found[f"{name}_y"]
        assert bounds_found.low == pytest.approx(float(values.min()), rel=1e-5)
        assert bounds_found.high == pytest.approx(float(values.max()), rel=1e-5)
    assert [value.name for value in unfused.graph.outputs] == ["logits"]
    assert calibrate_scores(unfused, [], observations) == {}


def test_fused_attention_is_refused(bench: Any) -> None:
    """Where attention is one node there is no place for the pairs: the message names the artifact that has one."""
    weights = {name: bench.normal(32, 32) for name in ("query_weight", "words_weight")}
    body = """
        x = Gather (words_weight, input_ids) query = MatMul (x, query_weight)
        logits = com.microsoft.MultiHeadAttention <num_heads = 4> (query, query, query)
    """
    with pytest.raises(QuantizationError, match=r"fused \(MultiHeadAttention\).*quantkit export --no-fuse"):
        score_inputs(bench.build(body, weights))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no attention", "the graph has no attention"),
        ("no product", "reads 0 products"),
        ("two products", "reads 2 products"),
        ("not linear", "do not come from a linear layer"),
        ("another sum", "do not come from a linear layer"),
    ],
)
def test_what_is_not_understood_is_refused(unfused: ir.Model, what: str, message: str) -> None:
    """Nothing is left out silently: a graph that is otherwise is an error."""
    if what == "no attention":
        node_of(unfused, "probabilities").op_type = "Relu"
    elif what == "no product":
        node_of(unfused, "probabilities").replace_input_with(0, node_of(unfused, "key_heads").outputs[0])
    elif what == "two products":
        node_of(unfused, "scores").replace_input_with(1, node_of(unfused, "each").outputs[0])
    elif what == "not linear":
        node_of(unfused, "query_y").op_type = "Pow"
    else:
        node_of(unfused, "query_y").replace_input_with(0, node_of(unfused, "x").outputs[0])
    with pytest.raises(QuantizationError, match=f"{message}.*leave --attention out"):
        score_inputs(unfused)


def observed(bench: Any, model: ir.Model, tensor: str) -> np.ndarray:
    """Return a tensor's values on `bench.ids()`."""
    copy = model.clone()
    copy.graph.outputs.clear()
    value = node_of(copy, tensor).outputs[0]
    value.type = ir.TensorType(ir.DataType.FLOAT)
    copy.graph.outputs.append(value)
    return np.asarray(bench.compute(copy, optimize=False))
