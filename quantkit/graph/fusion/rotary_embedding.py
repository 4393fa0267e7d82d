"""Queries and keys turned by their position → RotaryEmbedding."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.constants import add_initializer, free_name
from quantkit.graph.fusion.heads import count_and_size, features_of
from quantkit.graph.fusion.passes import FusionPass
from quantkit.graph.pattern import Stopped, integers, is_op, label, operand, producer_of, replace

_SPLIT = (0, 2, 1, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Turned:
    """x · cosine + turned(x) · sine, all [batch, heads, sequence, size] or fit to it."""

    x: ir.Value
    cosine: ir.Value
    sine: ir.Value


class RotaryEmbedding(FusionPass):
    """x · cos + [-second half of x, first half of x] · sin → com.microsoft.RotaryEmbedding.

    1. x is [batch, heads, sequence, size], split from a projection [batch, sequence, heads·size] by Reshape and
       Transpose. The operator works on the projection; Reshape and Transpose come behind it.
    2. cos and sin are [1, 1, sequence, size] and the same in both halves of the last axis, as every model has them that
       turns so; the operator takes the first half, [sequence, size / 2]. They stay computed by the graph, so that
       positions have no end, once for all layers that share them.
    3. Not matched: x is split from its projection in another way.
    """

    name = "RotaryEmbedding"

    def __init__(self) -> None:
        self._halves: dict[ir.Value, ir.Value] = {}
        self._start: ir.Value | None = None

    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every sum of two products, one of them with a Concat of something negated."""
        return [node for node in graph if is_op(node, "Add") and _turned(node) is not None]

    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse one; see the class."""
        turned = _turned(anchor)
        assert turned is not None
        transpose = producer_of(turned.x, anchor, "Transpose")
        if tuple(transpose.attributes["perm"].as_ints()) != _SPLIT:
            raise Stopped(label(transpose), "does not put heads in front of the sequence")
        reshape = producer_of(operand(transpose, 0), transpose, "Reshape")
        projection = operand(reshape, 0)
        count, size = count_and_size(reshape, features_of(projection, None))
        name = f"{label(anchor)}/{self.name}"
        tables = [self._half(graph, value, size, anchor) for value in (turned.cosine, turned.sine)]
        if self._start is None:
            self._start = add_initializer(graph, free_name(graph, "first_position"), np.array([0], np.int64))
        shape = add_initializer(graph, free_name(graph, f"{name}.heads"), np.array([0, 0, count, size]))
        node = ir.node(self.name, [projection, self._start, *tables], domain=CONTRIB, name=name)
        heads = ir.node("Reshape", [node.outputs[0], shape], name=f"{name}/heads")
        moved = ir.node("Transpose", [heads.outputs[0]], {"perm": list(_SPLIT)}, name=f"{name}/moved")
        for inner in (node, heads):
            inner.outputs[0].name = f"{inner.name}/output"
        graph.insert_after(anchor, (node, heads, moved))
        replace(graph, anchor.outputs[0], moved.outputs[0])

    def _half(self, graph: ir.Graph, value: ir.Value, size: int, reader: ir.Node) -> ir.Value:
        """Return the first half of cosines or sines as [sequence, size / 2]."""
        unsqueeze = producer_of(value, reader, "Unsqueeze")
        if integers(operand(unsqueeze, 1)) != [1]:
            raise Stopped(label(unsqueeze), "the cosines are not [1, 1, sequence, size]")
        whole = operand(unsqueeze, 0)
        if whole not in self._halves:
            name = f"{whole.name}/half"
            ends = [np.array([number]) for number in (0, size // 2, -1)]
            bounds = [
                add_initializer(graph, free_name(graph, f"{name}.{what}"), array)
                for what, array in zip(("start", "end", "axis"), ends, strict=True)
            ]
            shape = add_initializer(graph, free_name(graph, f"{name}.shape"), np.array([-1, size // 2]))
            sliced = ir.node("Slice", [whole, *bounds], name=name)
            table = ir.node("Reshape", [sliced.outputs[0], shape], name=f"{name}/table")
            sliced.outputs[0].name, table.outputs[0].name = name, f"{name}/table"
            producer = whole.producer()
            assert producer is not None
            graph.insert_after(producer, (sliced, table))
            self._halves[whole] = table.outputs[0]
        return self._halves[whole]


def _turned(add: ir.Node) -> _Turned | None:
    """Return what an Add turns; None when it does something else."""
    products = [value.producer() if value is not None else None for value in add.inputs]
    if not all(product is not None and is_op(product, "Mul") for product in products):
        return None
    for plain, halves in (products, products[::-1]):
        assert plain is not None
        assert halves is not None
        for concat, sine in ((0, 1), (1, 0)):
            x = _halved(operand(halves, concat).producer())
            if x is not None and x in plain.inputs:
                cosine = operand(plain, 1 if operand(plain, 0) is x else 0)
                return _Turned(x=x, cosine=cosine, sine=operand(halves, sine))
    return None


def _halved(concat: ir.Node | None) -> ir.Value | None:
    """Return x of Concat(-x[half:], x[:half]); that the halves are these shows in the parity of the fused graph."""
    if concat is None or not is_op(concat, "Concat") or len(concat.inputs) != 2:
        return None
    negated, second = operand(concat, 0).producer(), operand(concat, 1).producer()
    first = operand(negated, 0).producer() if negated is not None and is_op(negated, "Neg") else None
    if first is None or second is None or not is_op(first, "Slice") or not is_op(second, "Slice"):
        return None
    return operand(first, 0) if operand(first, 0) is operand(second, 0) else None
