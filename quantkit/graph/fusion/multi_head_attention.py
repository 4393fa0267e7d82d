"""Scaled dot-product attention with its bias Adds and its mask → MultiHeadAttention."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.constants import add_initializer, free_name
from quantkit.graph.fusion.attention_bias import hides_more, is_of_positions, require_position_bias
from quantkit.graph.fusion.heads import Heads, merged_heads, split_heads
from quantkit.graph.fusion.padding_mask import MaskForm, require_padding_mask
from quantkit.graph.fusion.passes import FusionPass
from quantkit.graph.pattern import (
    Stopped,
    common_scope,
    constant,
    int32_input,
    int_attribute,
    is_op,
    label,
    operand,
    producer_of,
    replace,
    require_private,
    scalar,
)

# What a key that is not attended gets added. onnxruntime's default, -10000, is not what the checkpoint
# computes when every key of a row is hidden; the most negative finite float is, and gives no NaN (minus
# infinity would).
MASK_FILTER_VALUE = float(np.finfo(np.float32).min)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mask:
    """Scores before the mask, the mask's operand, and a bias of positions that is added beside it."""

    scores: ir.Value
    mask: ir.Value
    form: MaskForm
    node: ir.Node
    bias: ir.Value | None = None
    bias_node: ir.Node | None = None

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """What is no longer needed, the first that reads the scores in front."""
        return (self.node,) if self.bias_node is None else (self.bias_node, self.node)


class MultiHeadAttention(FusionPass):
    """Attention of one layer → com.microsoft.MultiHeadAttention.

    Its inputs are query, key, value, bias, key_padding_mask and attention_bias. With [batch, sequence, heads·size]
    projections q, k, v (each the result of a MatMul, left as it is under its own name):

        softmax(scale · split(q + bq) · split(k + bk)ᵀ + mask) · split(v + bv), merged to [batch, sequence,
        heads·size]

    1. bias is the concatenation [bq, bk, bv]; a projection without bias counts as zeros, three without leave
       it out.
    2. The scale is a constant factor or divisor, on the scores, on the queries or on the keys, or on several
       (they multiply).
    3. Splitting is Reshape to [batch, sequence, heads, size] and Transpose to [batch, heads, sequence, size];
       the key is transposed once more, in the same Transpose or another.
    4. The mask is an Add to the scores, on either side, or a Where that fills them (masked_fill). It is
       replaced by `attention_mask` cast to int32, shared by all layers, once proven to be nothing but its key
       padding mask (see `padding_mask`). A bias of positions that is added too, or a mask that hides more than
       padding, becomes the input attention_bias (see `attention_bias`).
    5. No mask at all: key_padding_mask is left out.
    6. The size of a value head may differ from that of query and key; query and key may come from other
       tensors than the value.
    7. Not matched: something outside reads the scores, the probabilities or another value in between; the
       Softmax is over another axis; heads do not agree; a reshape does not keep batch and sequence in front.
    """

    name = "MultiHeadAttention"

    def __init__(self) -> None:
        self._proven: dict[tuple[ir.Value, str], ir.Value] = {}
        self._biases: dict[ir.Value, ir.Value] = {}

    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every Softmax."""
        return [node for node in graph if is_op(node, "Softmax")]

    def where(self, anchor: ir.Node) -> str:
        """Return the module path of the attention: what encloses the linear layers that feed the Softmax."""
        return common_scope(_linear_names(anchor)) or label(anchor)

    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse one attention; see the class."""
        if int_attribute(anchor, "axis", -1) not in (-1, 3):
            raise Stopped(
                label(anchor),
                f"is over axis {int_attribute(anchor, 'axis', -1)}, not over the keys (the last)",
            )
        masked = _mask(anchor)
        scores, factors, scale = _scaled(operand(anchor, 0) if masked is None else masked.scores)
        reader = factors[-1] if factors else anchor if masked is None else masked.nodes[0]
        product = producer_of(scores, reader, "MatMul")
        query = split_heads(operand(product, 0), product, transposed=False)
        key = split_heads(operand(product, 1), product, transposed=True)
        mixed = _only_reader(anchor, "MatMul")
        if operand(mixed, 0) is not anchor.outputs[0]:
            raise Stopped(label(mixed), "has the probabilities on its right side")
        value = split_heads(operand(mixed, 1), mixed, transposed=False)
        merged = merged_heads(mixed, value.count * value.size)
        if not query.count == key.count == value.count:
            raise Stopped(label(product), f"heads do not agree: {query.count}, {key.count} and {value.count}")
        if query.size != key.size:
            raise Stopped(label(product), f"queries have {query.size} features a head, keys {key.size}")
        if value.scale != 1.0:
            raise Stopped(label(mixed), "the values are scaled")
        inner = (*query.nodes, *key.nodes, *value.nodes, product, *factors, anchor, mixed, *merged)
        if masked is not None:
            inner = (*inner, *masked.nodes)
        output = merged[-1].outputs[0]
        require_private(inner, output)
        padding, added = (None, None) if masked is None else self._added(graph, masked, query.count)
        scope = self.where(anchor)
        node = ir.node(
            self.name,
            _inputs(query, key, value, _bias(graph, scope, query, key, value), padding, added),
            attributes={
                "num_heads": query.count,
                "scale": scale * query.scale * key.scale,
                "mask_filter_value": MASK_FILTER_VALUE,
            },
            domain=CONTRIB,
            name=scope,
        )
        graph.insert_after(merged[-1], node)
        replace(graph, output, node.outputs[0])

    def _added(self, graph: ir.Graph, masked: _Mask, heads: int) -> tuple[ir.Value | None, ir.Value | None]:
        """Return key_padding_mask and attention_bias; what is proven for one layer is proven for all that share it."""
        bias = masked.bias
        if bias is not None and bias not in self._biases:
            self._biases[bias] = require_position_bias(graph, bias, heads, masked.node)
        known = (masked.mask, masked.form)
        if known not in self._proven and masked.mask not in self._biases:
            try:
                source = require_padding_mask(graph, masked.mask, masked.form, masked.node)
            except Stopped:
                if bias is not None or masked.form != "added" or not hides_more(graph, masked.mask):
                    raise
                self._biases[masked.mask] = masked.mask
            else:
                self._proven[known] = int32_input(graph, source)
        if masked.mask in self._biases:
            return None, self._biases[masked.mask]
        return self._proven[known], None if bias is None else self._biases[bias]


def _mask(softmax: ir.Node) -> _Mask | None:
    """Return the mask in front of the Softmax; None when the scores go in as they are."""
    node = operand(softmax, 0).producer()
    if node is not None and is_op(node, "Add"):
        first, second = operand(node, 0), operand(node, 1)
        if _is_scores(first):
            return _Mask(scores=first, mask=second, form="added", node=node)
        if _is_scores(second):
            return _Mask(scores=second, mask=first, form="added", node=node)
        for inner, mask in ((first, second), (second, first)):
            found = _biased(inner, mask, node)
            if found is not None:
                return found
        raise Stopped(label(node), "neither of its operands is a product of queries and keys")
    if node is not None and is_op(node, "Where"):
        condition, first, second = operand(node, 0), operand(node, 1), operand(node, 2)
        for scores, filling, form in (
            (first, second, "kept where true"),
            (second, first, "filled where true"),
        ):
            number = scalar(filling)
            if number is not None and number <= -1e4:
                return _Mask(scores=scores, mask=condition, form=form, node=node)  # type: ignore[arg-type]
        raise Stopped(label(node), "does not fill with a large negative constant")
    return None


def _biased(inner: ir.Value, mask: ir.Value, node: ir.Node) -> _Mask | None:
    """Return scores with a bias and a mask added, in any order; None when `inner` is no such sum."""
    add = inner.producer()
    if add is None or not is_op(add, "Add"):
        return None
    for scores, other in ((operand(add, 0), operand(add, 1)), (operand(add, 1), operand(add, 0))):
        if _is_scores(scores):
            bias, hiding = (other, mask) if is_of_positions(other) else (mask, other)
            if is_of_positions(bias):
                return _Mask(scores=scores, mask=hiding, form="added", node=node, bias=bias, bias_node=add)
    return None


def _is_scores(value: ir.Value) -> bool:
    source, _, _ = _scaled(value)
    return is_op(source.producer(), "MatMul")


def _scaled(value: ir.Value) -> tuple[ir.Value, tuple[ir.Node, ...], float]:
    """Return what `value` was before constant factors, the nodes that apply them, and their product."""
    nodes: list[ir.Node] = []
    scale = 1.0
    node = value.producer()
    while node is not None and is_op(node, "Mul", "Div"):
        first, second = operand(node, 0), operand(node, 1)
        number, rest = scalar(second), first
        if number is None and node.op_type == "Mul":
            number, rest = scalar(first), second
        if number is None:
            break
        scale = scale * number if node.op_type == "Mul" else scale / number
        nodes.append(node)
        value, node = rest, rest.producer()
    return value, tuple(nodes), scale


def _only_reader(node: ir.Node, op_type: str) -> ir.Node:
    readers = set(node.outputs[0].consumers())
    if len(readers) != 1 or node.outputs[0].is_graph_output():
        names = " and ".join(sorted(f"{reader.op_type} {label(reader)}" for reader in readers)) or "nothing"
        raise Stopped(label(node), f"its output is used by {names}, not by one {op_type} alone")
    reader = next(iter(readers))
    if not is_op(reader, op_type):
        raise Stopped(label(reader), f"is a {reader.op_type}, where a {op_type} is expected")
    return reader


def _bias(graph: ir.Graph, scope: str, *parts: Heads) -> ir.Value | None:
    if all(part.bias is None for part in parts):
        return None
    vectors = []
    for part in parts:
        tensor = constant(part.bias)
        vectors.append(np.zeros(part.count * part.size, np.float32) if tensor is None else tensor.numpy())
    return add_initializer(graph, free_name(graph, f"{scope}.bias"), np.concatenate(vectors))


def _inputs(query: Heads, key: Heads, value: Heads, *others: ir.Value | None) -> list[ir.Value | None]:
    inputs: list[ir.Value | None] = [query.linear, key.linear, value.linear, *others]
    while inputs[-1] is None:
        inputs.pop()
    return inputs


def _linear_names(softmax: ir.Node) -> list[str]:
    """Return the names of the nearest linear layers that feed the Softmax, other than through a Shape."""
    names: list[str] = []
    seen: set[ir.Node] = set()
    waiting = [value.producer() for value in softmax.inputs if value is not None]
    while waiting:
        node = waiting.pop(0)
        if node is None or node in seen or is_op(node, "Shape"):
            continue
        seen.add(node)
        if is_op(node, "MatMul") and constant(node.inputs[1]) is not None:
            names.append(label(node))
        else:
            waiting.extend(value.producer() for value in node.inputs if value is not None)
    return names
