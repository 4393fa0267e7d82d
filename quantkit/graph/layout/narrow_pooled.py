"""The last layer for one token only, where the head reads only one."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.pattern import constant, int_attribute, integers, is_op, optional_operand

# Operators that compute each token by itself → which of their inputs have tokens; other inputs are weights and scales.
_BY_TOKEN: Mapping[str, tuple[int, ...]] = {
    # Along the last axis only, see `_by_token`.
    "Gather": (0,),
    "Slice": (0,),
    "Add": (0, 1),
    "BiasGelu": (0,),
    "Cast": (0,),
    "DequantizeLinear": (0,),
    "FastGelu": (0,),
    "Gelu": (0,),
    "LayerNormalization": (0,),
    "MatMul": (0,),
    "MatMulInteger": (0,),
    "MatMulIntegerToFloat": (0,),
    "MatMulNBits": (0,),
    "Mul": (0, 1),
    # Each query by itself: keys and values stay whole.
    "MultiHeadAttention": (0,),
    "QuantizeLinear": (0,),
    "SkipLayerNormalization": (0, 1),
    "Sum": (0, 1),
}
_ATTENTION_BIAS = 5  # among the inputs of MultiHeadAttention
# What is known to have tokens: [batch, sequence, hidden].
_MAKES_TOKENS = (
    "MultiHeadAttention",
    "LayerNormalization",
    "SkipLayerNormalization",
    "EmbedLayerNormalization",
)


def narrow_pooled(model: ir.Model) -> int:
    """Compute the last layer only for the token that a pooled head reads; return how many heads there were.

    A classifier reads one token: Gather(hidden [batch, sequence, hidden], index, axis 1). What stands before it and
    nobody else reads is computed for that token alone, back through the last layer to its attention, which asks for
    one query and looks at all keys and values: the other tokens' queries, attention, output and feed-forward layers
    are left out. The same numbers, since nothing there mixes tokens.

    1. The pass goes back through operators that compute each token by itself, and stops elsewhere. The dynamic
       quantization of a tensor is elsewhere: its range is that of all tokens.
    2. Where it stops, the token is taken out, as [batch, 1, hidden], once for each tensor.
    3. Nothing is done when the pass does not get back to an attention: there is hardly anything to save.
    """
    graph = model.graph
    return sum(_narrow(graph, node) for node in list(graph) if _is_pooling(node))


def _is_pooling(node: ir.Node) -> bool:
    """Tell whether a node takes the first token, which leaves the same place when there is only one."""
    if not is_op(node, "Gather") or "axis" not in node.attributes or node.attributes["axis"].as_int() != 1:
        return False
    index, source = constant(node.inputs[1]), node.inputs[0]
    first = index is not None and index.size == 1 and int(index.numpy().reshape(())) == 0
    return first and source is not None and _has_tokens(source)


def _by_token(node: ir.Node) -> tuple[int, ...]:
    """Return which inputs of a node have tokens that it computes each by itself; none where it mixes them."""
    if node.op_type in ("Concat", "Gather") and int_attribute(node, "axis", 0) != -1:
        return ()
    if node.op_type == "Concat":
        return tuple(range(len(node.inputs)))
    if node.op_type == "MultiHeadAttention" and optional_operand(node, _ATTENTION_BIAS) is not None:
        return ()  # it has numbers for every query
    if node.op_type == "Slice" and integers(optional_operand(node, 3)) != [-1]:
        return ()
    return _BY_TOKEN.get(node.op_type, ())


def _has_tokens(value: ir.Value) -> bool:
    """Tell whether a value is known to be [batch, sequence, …]."""
    node = value.producer()
    if node is None or value is not node.outputs[0]:
        return False
    if node.op_type in _MAKES_TOKENS:
        return True
    if node.op_type == "DynamicQuantizeLinear":
        return node.inputs[0] is not None and _has_tokens(node.inputs[0])
    places = _by_token(node)
    return any(_has_tokens(entry) for place in places if (entry := node.inputs[place]) is not None)


def _narrow(graph: ir.Graph, pooling: ir.Node) -> int:
    narrowed = _only_for(graph, pooling)
    if not any(node.op_type == "MultiHeadAttention" for node in narrowed):
        return 0
    taken: dict[ir.Value, ir.Value] = {}
    index = add_initializer(graph, f"{pooling.name}.first", np.array([0], np.int64))
    for node in narrowed:
        for place in _by_token(node):
            source = node.inputs[place]
            if source is None or not _has_tokens(source) or source.producer() in narrowed:
                continue
            if source not in taken:
                taken[source] = _take(graph, source, index, node)
            node.replace_input_with(place, taken[source])
        for value in node.outputs:
            # What was noted of it was for all tokens.
            value.shape = None
    return 1


def _only_for(graph: ir.Graph, pooling: ir.Node) -> list[ir.Node]:
    """Return the nodes that only `pooling` needs, and that can do with its token alone, in graph order."""
    found: set[ir.Node] = {pooling}
    # The graph is in order: going back through it, all readers of a node come before it.
    for node in reversed(list(graph)):
        readers = {usage.node for value in node.outputs for usage in value.uses()}
        if not readers or not readers <= found or not _by_token(node):
            continue
        if any(value.is_graph_output() for value in node.outputs) or not _has_tokens(node.outputs[0]):
            continue
        # A reader that needs all tokens of it, as keys and values, is none that can do with one.
        uses = [usage for value in node.outputs for usage in value.uses() if usage.node is not pooling]
        if any(usage.idx not in _by_token(usage.node) for usage in uses):
            continue
        if all(_plain(node, place) for place in _by_token(node)):
            found.add(node)
    found.discard(pooling)
    return [node for node in graph if node in found]


def _plain(node: ir.Node, place: int) -> bool:
    """Tell whether an input has tokens, or is a constant without any: one vector, or one number."""
    source = node.inputs[place]
    if source is None or _has_tokens(source):
        return True
    stored = constant(source)
    return stored is not None and len(stored.shape) <= 1


def _take(graph: ir.Graph, source: ir.Value, index: ir.Value, reader: ir.Node) -> ir.Value:
    """Insert the Gather of one token before the first node that reads it; return [batch, 1, …]."""
    node = ir.node("Gather", [source, index], attributes={"axis": 1}, name=f"{source.name}/first")
    node.outputs[0].name = f"{source.name}/first"
    graph.insert_before(reader, node)
    return node.outputs[0]
