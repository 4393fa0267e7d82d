"""Recognises layer normalization: the one node of opset 17, and the nine nodes older opsets write it with.

With x of shape [..., hidden], mean and variance over the last axis:

    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta        gamma, beta: float32 [hidden]

1. `LayerNormalization` (opset 17) with axis -1, both weights constant with one axis, and unused statistics
   outputs.
2. opset 14 to 16: ReduceMean, Sub, Pow(2), ReduceMean, Add(epsilon), Sqrt, Div, Mul(gamma), Add(beta).
"""

from dataclasses import dataclass

import onnx_ir as ir

from quantkit.graph.pattern import (
    Stopped,
    constant,
    int_attribute,
    is_op,
    label,
    operand,
    optional_operand,
    producer_of,
    require_private,
    scalar,
    stored,
    vector_length,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerNorm:
    """One recognised layer normalization: `nodes` compute `output` from `source`."""

    source: ir.Value
    gamma: ir.Value
    beta: ir.Value | None
    epsilon: float
    hidden: int
    output: ir.Value
    nodes: tuple[ir.Node, ...]


def layer_norm_anchors(graph: ir.Graph) -> list[ir.Node]:
    """Return the LayerNormalization nodes, and the Sqrt nodes that older opsets have in their place."""
    return [node for node in graph if is_op(node, "LayerNormalization", "Sqrt")]


def recognise_layer_norm(anchor: ir.Node) -> LayerNorm:
    """Return the layer normalization around `anchor`.

    Raises:
        Stopped: it is none, or one whose statistics or axes a fused node cannot give.
    """
    return _node(anchor) if anchor.op_type == "LayerNormalization" else _composed(anchor)


def _node(anchor: ir.Node) -> LayerNorm:
    axis = int_attribute(anchor, "axis", -1)
    if axis not in (-1, 2):
        raise Stopped(label(anchor), f"normalizes from axis {axis} on, not over the last axis")
    if any(value.uses() or value.is_graph_output() for value in anchor.outputs[1:]):
        raise Stopped(label(anchor), "its mean or deviation is used as well")
    beta = optional_operand(anchor, 2)
    epsilon = anchor.attributes.get("epsilon")
    return LayerNorm(
        source=operand(anchor, 0),
        gamma=stored(operand(anchor, 1)),
        beta=None if beta is None else stored(beta),
        epsilon=1e-5 if epsilon is None else epsilon.as_float(),
        hidden=_hidden(anchor, operand(anchor, 1), beta),
        output=anchor.outputs[0],
        nodes=(anchor,),
    )


def _composed(sqrt: ir.Node) -> LayerNorm:
    shifted = producer_of(operand(sqrt, 0), sqrt, "Add")
    variance, epsilon = _with_scalar(shifted)
    mean_of_squares = producer_of(variance, shifted, "ReduceMean")
    square = producer_of(operand(mean_of_squares, 0), mean_of_squares, "Pow")
    if scalar(operand(square, 1)) != 2.0:
        raise Stopped(label(square), "is not a square")
    centred = producer_of(operand(square, 0), square, "Sub")
    source = operand(centred, 0)
    mean = producer_of(operand(centred, 1), centred, "ReduceMean")
    if operand(mean, 0) is not source:
        raise Stopped(label(mean), "is the mean of another value")
    for reduction in (mean, mean_of_squares):
        axes = reduction.attributes.get("axes")
        if (
            axes is None
            or tuple(axes.as_ints()) not in ((-1,), (2,))
            or int_attribute(reduction, "keepdims", 1) != 1
        ):
            raise Stopped(label(reduction), "does not reduce the last axis and keep it")
    quotient = _reader(sqrt, "Div")
    if operand(quotient, 0) is not centred.outputs[0]:
        raise Stopped(label(quotient), "divides another value than the centred one")
    scaled = _reader(quotient, "Mul")
    gamma = _other(scaled, quotient.outputs[0])
    moved = _reader(scaled, "Add")
    beta = _other(moved, scaled.outputs[0])
    nodes = (mean, centred, square, mean_of_squares, shifted, sqrt, quotient, scaled, moved)
    hidden = _hidden(scaled, gamma, beta)
    require_private(nodes, moved.outputs[0])
    return LayerNorm(
        source=source,
        gamma=stored(gamma),
        beta=stored(beta),
        epsilon=epsilon,
        hidden=hidden,
        output=moved.outputs[0],
        nodes=nodes,
    )


def _hidden(node: ir.Node, gamma: ir.Value, beta: ir.Value | None) -> int:
    hidden = vector_length(gamma)
    if hidden is None or (beta is not None and vector_length(beta) != hidden):
        raise Stopped(label(node), "its scale and shift are not constants of one length")
    return hidden


def _with_scalar(node: ir.Node) -> tuple[ir.Value, float]:
    for value, other in ((operand(node, 0), operand(node, 1)), (operand(node, 1), operand(node, 0))):
        number = scalar(other)
        if number is not None and constant(value) is None:
            return value, number
    raise Stopped(label(node), "does not add a constant epsilon")


def _reader(node: ir.Node, op_type: str) -> ir.Node:
    readers = node.outputs[0].consumers()
    if len(readers) != 1 or not is_op(readers[0], op_type):
        raise Stopped(label(node), f"is not followed by one {op_type}")
    return readers[0]


def _other(node: ir.Node, value: ir.Value) -> ir.Value:
    return operand(node, 1) if operand(node, 0) is value else operand(node, 0)
