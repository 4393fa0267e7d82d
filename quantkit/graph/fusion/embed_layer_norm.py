"""Embedding lookups + layer normalization → EmbedLayerNormalization."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.fusion.layer_norm import layer_norm_anchors, recognise_layer_norm
from quantkit.graph.fusion.passes import FusionPass
from quantkit.graph.pattern import (
    Stopped,
    constant,
    fused_name,
    int32_input,
    int_attribute,
    integers,
    is_op,
    label,
    operand,
    origin,
    producer_of,
    replace,
    require_private,
    stored,
)

TOKENS_INPUT = "input_ids"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lookup:
    """One Gather of rows: `table` float32 [rows, hidden] at `indices` [batch or 1, sequence]."""

    table: ir.Value
    indices: ir.Value
    rows: int
    hidden: int
    node: ir.Node


class EmbedLayerNormalization(FusionPass):
    """LayerNorm(words[input_ids] + positions[p] [+ segments[s]]) → com.microsoft.EmbedLayerNormalization.

    1. Two lookups (words and positions) or three, added in any order; words is the one indexed by the graph
       input `input_ids`.
    2. Of the other two, segments is the one indexed by a graph input; when neither is, the smaller table.
    3. Positions that count 0, 1, 2 … (a Slice of such a constant) are left to the kernel. Others, as
       RoBERTa's, which depend on padding, stay computed by the graph and are given as position_ids.
    4. Indices are cast to int32. The kernel has an output for a mask index and an input for a mask: **no mask
       is ever given to it**, because what it makes of one holds for right-padded masks only. Attention gets
       the raw mask instead.
    5. Not matched: another number of terms or a term that is no lookup (MobileBERT widens its words first);
       tables of another width; the sum is read elsewhere.
    """

    name = "EmbedLayerNormalization"

    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return the layer normalizations of sums with a lookup among their terms."""
        return [anchor for anchor in layer_norm_anchors(graph) if _adds_a_lookup(anchor)]

    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse the embeddings; see the class."""
        norm = recognise_layer_norm(anchor)
        outer = producer_of(norm.source, norm.nodes[0], "Add")
        adds, terms = _terms(outer)
        lookups = [_lookup(term, outer) for term in terms]
        for lookup in lookups:
            if lookup.hidden != norm.hidden:
                raise Stopped(
                    label(lookup.node), f"its rows have {lookup.hidden} features, not {norm.hidden}"
                )
        words = next((lookup for lookup in lookups if _is_input(lookup.indices, TOKENS_INPUT)), None)
        if words is None or len(lookups) not in (2, 3):
            raise Stopped(
                label(outer),
                f"adds {len(lookups)} lookups, {'none' if words is None else 'one'} of {TOKENS_INPUT}",
            )
        if norm.beta is None:
            raise Stopped(label(anchor), "has no shift")
        require_private((*adds, *norm.nodes), norm.output)
        _require_only_shapes_read(lookups, adds)
        positions, segments = _roles([lookup for lookup in lookups if lookup is not words])
        tokens = int32_input(graph, words.indices)
        inputs: list[ir.Value | None] = [
            tokens,
            None if segments is None else int32_input(graph, segments.indices),
            words.table,
            positions.table,
            None if segments is None else segments.table,
            norm.gamma,
            norm.beta,
        ]
        if not _counts(positions.indices):
            inputs += [None, int32_input(graph, positions.indices)]
        node = ir.node(
            self.name,
            inputs,
            attributes={"epsilon": norm.epsilon},
            domain=CONTRIB,
            num_outputs=2,
            name=fused_name(anchor, self.name),
        )
        # The operator's schema demands this output even where, as here, no mask is given and nobody reads it.
        node.outputs[1].name = f"{node.name}/mask_index"
        last = norm.output.producer()
        assert last is not None
        graph.insert_after(last, node)
        replace(graph, norm.output, node.outputs[0])


def _adds_a_lookup(anchor: ir.Node) -> bool:
    try:
        norm = recognise_layer_norm(anchor)
        add = producer_of(norm.source, anchor, "Add")
    except Stopped:
        return False
    return any(is_op(term.producer(), "Gather") for term in _terms(add)[1])


def _terms(add: ir.Node) -> tuple[tuple[ir.Node, ...], list[ir.Value]]:
    """Return the Adds and the terms of a nested sum."""
    adds, terms = [add], []
    for value in (operand(add, 0), operand(add, 1)):
        node = value.producer()
        if node is not None and is_op(node, "Add"):
            inner, values = _terms(node)
            adds += inner
            terms += values
        else:
            terms.append(value)
    return tuple(adds), terms


def _lookup(value: ir.Value, reader: ir.Node) -> _Lookup:
    node = producer_of(value, reader, "Gather")
    tensor = constant(operand(node, 0))
    if tensor is None or len(tensor.shape) != 2 or int_attribute(node, "axis", 0) != 0:
        raise Stopped(label(node), f"is not a lookup of rows in a table but of {origin(operand(node, 0))}")
    rows, hidden = (int(size) for size in tensor.shape)  # type: ignore[arg-type]
    return _Lookup(
        table=stored(operand(node, 0)), indices=operand(node, 1), rows=rows, hidden=hidden, node=node
    )


def _is_input(value: ir.Value, name: str | None = None) -> bool:
    return value.is_graph_input() and (name is None or value.name == name)


def _require_only_shapes_read(lookups: list[_Lookup], adds: tuple[ir.Node, ...]) -> None:
    """Require that nobody but the sum reads the looked-up rows; their shape may be asked for."""
    for lookup in lookups:
        for reader in lookup.node.outputs[0].consumers():
            if reader not in adds and not is_op(reader, "Shape"):
                raise Stopped(
                    label(lookup.node), f"its output is also used by {reader.op_type} {label(reader)}"
                )


def _roles(others: list[_Lookup]) -> tuple[_Lookup, _Lookup | None]:
    """Return (positions, segments): the sum is symmetric, but only positions may be left to the kernel."""
    if len(others) == 1:
        return others[0], None
    first, second = others
    if _is_input(first.indices) != _is_input(second.indices):
        return (second, first) if _is_input(first.indices) else (first, second)
    return (first, second) if first.rows >= second.rows else (second, first)


def _counts(indices: ir.Value) -> bool:
    """Tell whether indices are a Slice, from 0 by 1 over the last axis, of the constant 0, 1, 2 …."""
    node = indices.producer()
    if node is None or not is_op(node, "Slice") or len(node.inputs) < 4:
        return False
    tensor = constant(node.inputs[0])
    steps = [1] if len(node.inputs) < 5 else integers(node.inputs[4])
    if tensor is None or len(tensor.shape) != 2 or tensor.shape[0] != 1 or steps != [1]:
        return False
    numbers = tensor.numpy().reshape(-1)
    return (
        integers(node.inputs[1]) == [0]
        and integers(node.inputs[3]) in ([1], [-1])
        and bool(np.array_equal(numbers, np.arange(len(numbers))))
    )
