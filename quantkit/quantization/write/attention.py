"""Queries and keys in INT8, for runtimes that multiply them as integers.

A pair QuantizeLinear → DequantizeLinear (int8, symmetric, per tensor) behind the bias of every query and key layer of
a graph whose attention is not fused: query → [pair] → Reshape → Transpose → MatMul ← … ← [pair] ← key. OpenVINO then
computes the scores Q Kᵀ, and moves queries and keys about, in 8 bits; values and probabilities stay float. ONNX Runtime
multiplies them in 8 bits too, but has no fused attention then.

Which tensors these are follows from the graph, not from names: every Softmax reads, through what scales and masks it,
one product of two activations, and each of them comes from a linear layer through Reshape, Transpose and scaling.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.errors import QuantizationError
from quantkit.files import digest_of
from quantkit.graph.constants import add_initializer
from quantkit.graph.linear import linear_layers
from quantkit.quantization.grids import INT8
from quantkit.quantization.observe.calibration import observe
from quantkit.quantization.observe.observations import Observations
from quantkit.quantization.observe.range import Range
from quantkit.quantization.observe.statistics import Detail

_FUSED = ("Attention", "MultiHeadAttention", "QAttention")
_MASKING = ("Add", "Sub", "Mul", "Div", "Where")
_MOVING = ("Reshape", "Transpose")
_SCALING = ("Mul", "Div")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreInput:
    """A tensor that a product of queries and keys reads: the output of a linear layer, with its bias.

    Attributes:
        layer: name of the linear layer.
        tensor: name of its output. It outlives the rewrites of the layer.
    """

    layer: str
    tensor: str


def score_inputs(model: ir.Model) -> list[ScoreInput]:
    """Return queries and keys of every attention of a float graph, in graph order.

    Raises:
        QuantizationError: attention is fused, there is none, or it is not made of linear layers.
    """
    graph = model.graph
    fused = sorted({node.op_type for node in graph if node.op_type in _FUSED})
    if fused:
        raise QuantizationError(
            f"--attention qk: attention is fused ({', '.join(fused)}), which keeps queries and keys to itself; "
            "quantize the artifact of `quantkit export --no-fuse`"
        )
    layers = {layer.node.outputs[0]: layer.name for layer in linear_layers(graph)}
    found: dict[str, ScoreInput] = {}
    for softmax in (node for node in graph if node.op_type == "Softmax"):
        products = list(_products(softmax.inputs[0]))
        if len(products) != 1:
            raise QuantizationError(
                f"--attention qk: {softmax.name}: reads {len(products)} products of queries and keys where one is "
                "expected; leave --attention out for this model"
            )
        for source in products[0].inputs:
            entry = _score_input(source, layers)
            if entry is None:
                raise QuantizationError(
                    f"--attention qk: {products[0].name}: its queries or keys do not come from a linear layer; "
                    "leave --attention out for this model"
                )
            found[entry.tensor] = entry
    if not found:
        raise QuantizationError(
            "--attention qk: the graph has no attention; leave --attention out for this model"
        )
    return list(found.values())


def calibrate_scores(
    model: ir.Model, inputs: Sequence[ScoreInput], observations: Observations
) -> dict[str, Range]:
    """Return tensor → the range that was seen of it.

    Args:
        model: the FP32 model, as `score_inputs` read it.
        inputs: its queries and keys.
        observations: of the same model, with the calibration rows.

    Raises:
        EvaluationError: a value is NaN or infinite.
    """
    if not inputs:
        return {}
    assert observations.job is not None
    values = _values(model.graph)
    key = digest_of([observations.key, "attention", [entry.tensor for entry in inputs]])
    statistics = observe(
        model, [values[entry.tensor] for entry in inputs], observations.job, key=key, detail=Detail.CHANNELS
    )
    return {name: Range.of(found.low, found.high) for name, found in statistics.items()}


def quantize_scores(model: ir.Model, inputs: Sequence[ScoreInput], ranges: Mapping[str, Range]) -> int:
    """Put a Q/DQ pair behind every tensor, in place; the linear layers may have been rewritten.

    The largest magnitude of a range is level 127 or -127, whichever side it is on.

    Returns:
        How many pairs were put in.
    """
    graph, values = model.graph, _values(model.graph)
    for entry in inputs:
        value, bounds = values[entry.tensor], ranges[entry.tensor]
        step = np.float32(max(abs(bounds.low), abs(bounds.high)) / INT8.limit)
        # A tensor that was zero on all calibration rows stays zero at any step.
        scale = step if step >= np.finfo(np.float32).tiny else np.float32(1)
        name = f"{entry.layer}.output"
        parameters = [
            add_initializer(graph, f"{name}_scale", np.asarray(scale)),
            add_initializer(graph, f"{name}_zero_point", np.asarray(0, np.int8)),
        ]
        readers = list(value.uses())
        quantize = ir.node("QuantizeLinear", [value, *parameters], name=f"{name}_q")
        dequantize = ir.node("DequantizeLinear", [quantize.outputs[0], *parameters], name=f"{name}_dq")
        for node in (quantize, dequantize):
            node.outputs[0].name = f"{node.name}_output"
        producer = value.producer()
        assert producer is not None
        graph.insert_after(producer, [quantize, dequantize])
        for usage in readers:
            usage.node.replace_input_with(usage.idx, dequantize.outputs[0])
    return len(inputs)


def _products(value: ir.Value | None) -> Iterator[ir.Node]:
    """Yield the products of two activations that `value` is, scaled and masked."""
    node = value.producer() if value is not None else None
    if node is None:
        return
    if node.op_type == "MatMul":
        if all(entry is not None and entry.const_value is None for entry in node.inputs):
            yield node
    elif node.op_type in _MASKING:
        for entry in node.inputs:
            yield from _products(entry)


def _score_input(value: ir.Value | None, layers: Mapping[ir.Value, str]) -> ScoreInput | None:
    """Return the linear layer's output that `value` is, moved and scaled; None when it is something else."""
    while value is not None and (node := value.producer()) is not None:
        if value in layers:
            return ScoreInput(layer=layers[value], tensor=value.name or "")
        if node.op_type == "Add" and (layer := _biased(node, layers)):
            return ScoreInput(layer=layer, tensor=value.name or "")
        if node.op_type in _MOVING or (node.op_type in _SCALING and _constant(node.inputs[1])):
            value = node.inputs[0]
        elif node.op_type in _SCALING and _constant(node.inputs[0]):
            value = node.inputs[1]
        else:
            return None
    return None


def _biased(add: ir.Node, layers: Mapping[ir.Value, str]) -> str | None:
    """Return the name of the linear layer whose bias this Add adds; None when it is another Add."""
    for value, other in (add.inputs, reversed(add.inputs)):
        if value is not None and value in layers and _constant(other):
            return layers[value]
    return None


def _constant(value: ir.Value | None) -> bool:
    return value is not None and (
        value.const_value is not None
        or ((node := value.producer()) is not None and node.op_type == "Constant")
    )


def _values(graph: ir.Graph) -> dict[str, ir.Value]:
    return {value.name or "": value for node in graph for value in node.outputs}
