"""Shapes of what a graph computes from its weights alone, such as a weight that a run unpacks before it is used."""

from collections.abc import Iterator

import onnx

Shape = tuple[int, ...]

# Operators whose output holds the entries of their first input, in the same order or transposed.
_SAME = frozenset({"DequantizeLinear", "QuantizeLinear", "Cast", "Identity"})
_TRANSPOSE = "Transpose"


class ConstantShapes:
    """Shapes of a graph's constants: of what is stored, and of what follows from it.

    onnxruntime folds most of that before it runs, but not a weight behind DequantizeLinear: where such a pair is not
    fused with the product, the product is computed in float, from a weight that is no initializer.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._stored = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        self._producers = {name: node for node in graph.node for name in node.output if name}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self._stored[node.output[0]] = tuple(node.attribute[0].t.dims)

    def shape(self, name: str) -> Shape | None:
        """Return the shape of a value that is constant, None of any other."""
        turns = list(self._way(name))
        if not turns or turns[-1] not in self._stored:
            return None
        shape = self._stored[turns[-1]]
        for value in reversed(turns[:-1]):
            node = self._producers[value]
            if node.op_type == _TRANSPOSE:
                shape = _transposed(shape, node)
        return shape

    def _way(self, name: str) -> Iterator[str]:
        """Yield the value and those it is computed from, down to what is stored; a cycle ends it."""
        seen: set[str] = set()
        while name not in seen:
            seen.add(name)
            yield name
            node = self._producers.get(name)
            if name in self._stored or node is None or node.op_type not in {*_SAME, _TRANSPOSE}:
                return
            name = node.input[0]


def _transposed(shape: Shape, node: onnx.NodeProto) -> Shape:
    orders = [tuple(attribute.ints) for attribute in node.attribute if attribute.name == "perm"]
    order = orders[0] if orders else tuple(reversed(range(len(shape))))
    return tuple(shape[axis] for axis in order) if sorted(order) == list(range(len(shape))) else shape
