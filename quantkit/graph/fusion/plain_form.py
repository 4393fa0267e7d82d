"""Rewrites that change nothing but how a graph is written, so that one pass serves several ways to write attention.

1. A Cast to float32 of what is float32 is left out (`.float()` and `.to(dtype)` of a model in float32).
2. Query, key and value of one product: Reshape to [batch, sequence, 3, heads, size], Split over axis 2 and Squeeze
   become a Split of the features and a Reshape of each part to [batch, sequence, heads, size].
"""

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer, free_name
from quantkit.graph.fusion.heads import features_of, keeps_front, target_of
from quantkit.graph.pattern import Stopped, int_attribute, integers, is_op, operand, prune, split_bias

# Operators whose result is of the type of their first input.
_KEEP_TYPE = (
    *("Add", "Concat", "Div", "Identity", "LayerNormalization", "MatMul", "Mul", "Neg", "Reshape", "Slice"),
    *("Softmax", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Cos", "Sin", "Gather"),
)
_PARTS = 3


def plain_form(model: ir.Model) -> None:
    """Rewrite a graph in place."""
    for node in list(model.graph):
        if is_op(node, "Cast") and _is_idle(node):
            source = operand(node, 0)
            node.outputs[0].replace_all_uses_with(source, replace_graph_outputs=True)
            prune(model.graph, [node])
    for node in list(model.graph):
        if is_op(node, "Split") and len(node.outputs) == _PARTS:
            _unpack(model.graph, node)


def _is_idle(cast: ir.Node) -> bool:
    return int_attribute(cast, "to", 0) == ir.DataType.FLOAT and _is_float(operand(cast, 0))


def _is_float(value: ir.Value) -> bool:
    """Tell whether a value is known to be float32."""
    while (node := value.producer()) is not None:
        if is_op(node, "Cast"):
            return int_attribute(node, "to", 0) == ir.DataType.FLOAT
        if not is_op(node, *_KEEP_TYPE):
            return False
        value = operand(node, 0)
    return value.dtype == ir.DataType.FLOAT


def _unpack(graph: ir.Graph, split: ir.Node) -> None:
    """Split the features of a packed projection, where `split` splits query, key and value of it."""
    reshape = operand(split, 0).producer()
    squeezes = [next(iter(value.consumers()), None) for value in split.outputs]
    if int_attribute(split, "axis", 0) not in (2, -3) or reshape is None or not is_op(reshape, "Reshape"):
        return
    if any(len(value.consumers()) != 1 for value in split.outputs) or integers(_sizes(split)) not in (
        None,
        [1] * 3,
    ):
        return
    packed = operand(reshape, 0)
    try:
        target = target_of(reshape)
    except Stopped:
        return
    biased = split_bias(packed)
    features = features_of(packed, None) if biased is None else features_of(*biased[:2])
    size = target[-1]
    if len(target) != 5 or not keeps_front(target) or target[2] != _PARTS or not isinstance(size, int):
        return
    if features is None or size < 1 or features % (_PARTS * size):
        return
    if not all(
        node is not None and is_op(node, "Squeeze") and integers(node.inputs[1]) in ([2], [-3])
        for node in squeezes
    ):
        return
    width = features // _PARTS
    sizes = add_initializer(graph, free_name(graph, f"{split.name}.sizes"), np.array([width] * _PARTS))
    shape = add_initializer(
        graph, free_name(graph, f"{split.name}.heads"), np.array([0, 0, width // size, size])
    )
    parts = ir.node("Split", [packed, sizes], {"axis": -1}, num_outputs=_PARTS, name=f"{split.name}/features")
    graph.insert_after(split, parts)
    for value, squeeze in zip(parts.outputs, squeezes, strict=True):
        assert squeeze is not None
        value.name = f"{squeeze.name}/features"
        heads = ir.node("Reshape", [value, shape], name=f"{squeeze.name}/heads")
        heads.outputs[0].name = f"{squeeze.name}/heads"
        graph.insert_after(squeeze, heads)
        squeeze.outputs[0].replace_all_uses_with(heads.outputs[0])
        prune(graph, [squeeze])


def _sizes(split: ir.Node) -> ir.Value | None:
    return split.inputs[1] if len(split.inputs) > 1 else None
