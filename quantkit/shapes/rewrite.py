"""Rewrite: narrowed blocks put into a fused float graph, and what calibration saw of it cut to the same columns.

The graph is what export and fusion make of the materialised checkpoint; a search need not make one for each candidate.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from quantkit.errors import ArtifactError
from quantkit.graph.constants import add_initializer
from quantkit.graph.linear import Linear, linear_layers
from quantkit.graph.pattern import operand, optional_operand
from quantkit.graph.pattern import replace as put
from quantkit.quantization.observe import Statistics
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Narrowed, Projection

_ATTENTION, _RESIDUAL = "MultiHeadAttention", "SkipLayerNormalization"
_BIAS = 4  # the input of a residual that holds the projection's bias


def projection_of(model: ir.Model, block: Block, seen: Statistics) -> Projection:
    """Return a block's output projection with the moments of what it reads.

    Args:
        model: the fused float model.
        block: of it.
        seen: statistics of the tensor that the projection reads, with moments.

    Raises:
        ArtifactError: the graph is not fused.
    """
    assert seen.moment is not None
    layer = _layers(model)[block.projection]
    mean = seen.mean.astype(np.float64)
    return Projection(
        name=block.projection,
        matrix=layer.matrix().astype(np.float64),
        bias=_numbers(residual_of(layer), _BIAS).astype(np.float64),
        mean=mean,
        covariance=seen.moment.astype(np.float64) - np.outer(mean, mean),
        size=block.size,
    )


def narrow(model: ir.Model, parts: Mapping[Block, Narrowed]) -> None:
    """Put narrowed blocks into a fused float graph, in place.

    Raises:
        ArtifactError: the graph is not fused.
    """
    layers = _layers(model)
    for block, part in parts.items():
        residual = residual_of(layers[block.projection])
        bias = add_initializer(
            model.graph, f"{block.projection}.bias", np.ascontiguousarray(part.bias, np.float32)
        )
        if not len(part.units):
            _leave_out(model.graph, residual, bias)
            continue
        residual.replace_input_with(_BIAS, bias)
        columns = block.columns(part.units)
        _put_weight(model.graph, layers[block.projection], part.matrix)
        for name in block.readers:
            _put_weight(model.graph, layers[name], layers[name].matrix()[:, columns])
        if block.kind == "attention":
            _cut_attention(model.graph, layers, block, part)
        else:
            _cut_activation(model.graph, layers[block.readers[0]], block, columns)
    passes.RemoveUnusedNodesPass()(model)


def cut(statistics: Mapping[str, Statistics], tensors: Mapping[str, np.ndarray]) -> dict[str, Statistics]:
    """Return statistics with only some columns of some tensors.

    Args:
        statistics: tensor name → what was seen.
        tensors: tensor name → the columns that are left, int64; none: the tensor is left out.
    """
    found = dict(statistics)
    for name, columns in tensors.items():
        seen = found.pop(name)
        if len(columns):
            found[name] = replace(
                seen,
                low=seen.low[columns],
                high=seen.high[columns],
                mean=seen.mean[columns],
                square=seen.square[columns],
                moment=None if seen.moment is None else seen.moment[np.ix_(columns, columns)],
                sample=None if seen.sample is None else seen.sample[:, columns],
            )
    return found


def read_by(model: ir.Model, block: Block) -> str:
    """Return the name of the tensor that a block's output projection reads."""
    return _layers(model)[block.projection].activation.name or ""


def _layers(model: ir.Model) -> dict[str, Linear]:
    return {layer.name: layer for layer in linear_layers(model.graph)}


def residual_of(layer: Linear) -> ir.Node:
    """Return the residual that follows an output projection.

    Raises:
        ArtifactError: there is none, so the graph is not fused.
    """
    found = [node for node in layer.node.outputs[0].consumers() if node.op_type == _RESIDUAL]
    if len(found) != 1 or optional_operand(found[0], _BIAS) is None:
        raise ArtifactError(
            f"{layer.name}: no {_RESIDUAL} follows it; fuse the artifact, or export it without --allow-partial-fusion"
        )
    return found[0]


def _numbers(node: ir.Node, place: int) -> np.ndarray:
    value = operand(node, place)
    assert value.const_value is not None
    return value.const_value.numpy()


def _put_weight(graph: ir.Graph, layer: Linear, matrix: np.ndarray) -> None:
    name = layer.weight.name or ""
    turned = matrix.T if layer.transposed else matrix
    layer.node.replace_input_with(
        1, add_initializer(graph, name, np.ascontiguousarray(turned, dtype=np.float32))
    )
    layer.node.outputs[0].shape = None


def _leave_out(graph: ir.Graph, residual: ir.Node, bias: ir.Value) -> None:
    """Let a residual add a constant in place of what its block computes."""
    total = ir.node("Add", [operand(residual, 1), bias], name=f"{residual.name}.constant")
    total.outputs[0].name = f"{residual.name}.constant_output"
    norm = ir.node(
        "LayerNormalization",
        [total.outputs[0], operand(residual, 2), optional_operand(residual, 3)],
        attributes={"axis": -1, "epsilon": residual.attributes["epsilon"].as_float()},
        name=f"{residual.name}.norm",
    )
    graph.insert_before(residual, (total, norm))
    put(graph, residual.outputs[0], norm.outputs[0])


def _cut_attention(graph: ir.Graph, layers: Mapping[str, Linear], block: Block, part: Narrowed) -> None:
    (attention,) = layers[block.readers[0]].node.outputs[0].consumers()
    assert attention.op_type == _ATTENTION
    attention.attributes["num_heads"] = ir.AttrInt64("num_heads", len(part.units))
    attention.outputs[0].shape = None
    if optional_operand(attention, 3) is not None:
        biases = _numbers(attention, 3).reshape(3, -1)[:, block.columns(part.units)].reshape(-1)
        value = add_initializer(graph, operand(attention, 3).name or "", np.ascontiguousarray(biases))
        attention.replace_input_with(3, value)


def _cut_activation(graph: ir.Graph, layer: Linear, block: Block, columns: np.ndarray) -> None:
    """Cut the bias between a feed-forward network's first layer and its activation."""
    (reader,) = layer.node.outputs[0].consumers()
    for place, value in enumerate(reader.inputs):
        if value is not None and value.const_value is not None:
            numbers = value.const_value.numpy()
            if numbers.shape == (block.width,):
                cut_down = add_initializer(graph, value.name or "", np.ascontiguousarray(numbers[columns]))
                reader.replace_input_with(place, cut_down)
                return
    raise ArtifactError(f"{layer.name}: no bias follows it; export the checkpoint again")
