"""The order of the layers of a graph, whoever wrote it: layers that multiply one activation stand by what they are for.

Tools list query, key and value of an attention in different orders. What each is for stands in the graph: query is the
left operand of the product of scores, key the right one, value the right operand of the product with a softmax.
"""

from collections.abc import Sequence

import onnx_ir as ir

from quantkit.graph.pattern import constant, optional_operand

# What moves, rounds or shifts an activation, and multiplies it with no other one.
_ROUNDING = frozenset(("Cast", "DequantizeLinear", "DynamicQuantizeLinear", "Identity", "QuantizeLinear"))
_SHAPING = frozenset(("Reshape", "Squeeze", "Transpose", "Unsqueeze"))
_PASSING = _ROUNDING | _SHAPING | {"Add", "Div", "Mul", "Sub"}
# Product → its two operands among its inputs.
_PRODUCTS = {
    "MatMul": (0, 1),
    "FusedMatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
    "DynamicQuantizeMatMul": (0, 1),
    "QLinearMatMul": (0, 3),
}
_ATTENTIONS = ("MultiHeadAttention",)
_SOFTMAX = ("Softmax", "QLinearSoftmax", "BiasSoftmax")
_STEPS = 24  # between a layer and the product of its attention; exporters need some ten
_UNKNOWN = 3


def in_order(layers: Sequence[ir.Node]) -> list[int]:
    """Return the places of layers, in graph order, in the order of this module.

    Args:
        layers: in graph order; one that stands there several times, such as a fused attention, stays together.
    """
    first: dict[ir.Value | None, int] = {}
    for place, layer in enumerate(layers):
        first.setdefault(_activation(layer), place)
    return sorted(
        range(len(layers)),
        key=lambda place: (first[_activation(layers[place])], _purpose(layers[place]), place),
    )


def _activation(layer: ir.Node) -> ir.Value | None:
    """Return what a layer multiplies, before it was rounded to integers."""
    value = layer.inputs[0]
    for _ in range(_STEPS):
        producer = value.producer() if value is not None else None
        if producer is None or producer.op_type not in _ROUNDING | _SHAPING:
            break
        value = producer.inputs[0]
    return value


def _purpose(layer: ir.Node) -> int:
    """Return 0 for a query, 1 for a key, 2 for a value, 3 for what is none of them."""
    values, seen = [layer.outputs[0]], {layer.outputs[0]}
    for _ in range(_STEPS):
        following: list[ir.Value] = []
        for value in values:
            for use in value.uses():
                node = use.node
                if node.op_type in _ATTENTIONS:
                    return min(use.idx, _UNKNOWN)
                found = _operand(node, use.idx)
                if found is not None:
                    return found
                if node.op_type in _PASSING and node.outputs[0] not in seen:
                    following.append(node.outputs[0])
                    seen.add(node.outputs[0])
        values = following
    return _UNKNOWN


def _operand(node: ir.Node, index: int) -> int | None:
    """Return what an operand of a product of two activations is; None for anything else."""
    left, right = _PRODUCTS.get(node.op_type) or (-1, -1)
    if index not in (left, right) or node.op_type not in _PRODUCTS:
        return None
    if any(constant(optional_operand(node, place)) is not None for place in (left, right)):
        return None
    if index == left:
        return 0
    return 2 if _is_softmax(optional_operand(node, left)) else 1


def _is_softmax(value: ir.Value | None) -> bool:
    for _ in range(_STEPS):
        producer = value.producer() if value is not None else None
        if producer is None:
            return False
        if producer.op_type in _SOFTMAX:
            return True
        if producer.op_type not in (*_PASSING, "Where", "Dropout", "And", "Or", "IsNaN"):
            return False
        data = 2 if producer.op_type == "Where" else 0
        value = optional_operand(producer, data)
    return False
