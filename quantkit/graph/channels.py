"""Channels between two linear layers: everything that has them, when nothing else does.

There the order of channels is free, and their number: columns of the layer before, what stands between, and rows of the
layers behind can be put in another order, or be there twice.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.pattern import constant, int_attribute, is_op

# Operators that compute every channel by itself; their constants are one number, or one for each channel.
_BY_CHANNEL = {
    *("Add", "Cast", "DequantizeLinear", "Div", "Erf", "Mul", "Pow", "QuantizeLinear", "Sub", "Tanh"),
    *("BiasGelu", "FastGelu", "Gelu"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Channels:
    """Constants with an entry, row or column for each channel of a tensor.

    Attributes:
        width: how many channels.
        tensors: the tensor, and all others that have its channels.
        made: constants of the layer before, and of what stands between it and the tensor or anything computed with it.
        read: weights of the layers behind.
    """

    width: int
    tensors: tuple[ir.Value, ...]
    made: tuple["Place", ...]
    read: tuple["Place", ...]


def find_channels(source: ir.Value, *, apart: Collection[ir.Node] = ()) -> Channels | None:
    """Return what has the channels of a tensor, from one linear layer to the next; None where others have them too.

    A linear layer is a MatMul by a constant, in float or behind DequantizeLinear.

    Args:
        source: the tensor.
        apart: readers of it that are not looked at.
    """
    search = _Walk(apart=apart)
    search.follow(source)
    widths = {place.array().shape[place.axis] for place in search.made}
    if not search.free or len(widths) != 1:
        return None
    return Channels(
        width=widths.pop(), tensors=tuple(search.tensors), made=tuple(search.made), read=tuple(search.read)
    )


def private_channels(source: ir.Value, readers: Collection[ir.Node]) -> Channels | None:
    """Return what has the channels of a tensor that these nodes read and nobody else; None where others have them too.

    Then the layer before can make other channels than it does.
    """
    if {usage.node for usage in source.uses()} != set(readers):
        return None
    channels = find_channels(source, apart=readers)
    return None if channels is None or channels.read else channels


def take(graph: ir.Graph, places: Collection["Place"], order: np.ndarray, *, suffix: str) -> None:
    """Give every place the entries of `order`, int64: in constants of their own, as others may read them too."""
    for place in places:
        name = f"{place.value().name}.{suffix}.{place.node.name}"
        array = np.ascontiguousarray(np.take(place.array(), order, axis=place.axis))
        place.node.replace_input_with(place.index, add_initializer(graph, name, array))


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A constant input of a node with one entry, row or column per channel along an axis."""

    node: ir.Node
    index: int
    axis: int

    def value(self) -> ir.Value:
        """Return the input."""
        value = self.node.inputs[self.index]
        assert value is not None
        return value

    def array(self) -> np.ndarray:
        """Return the constant."""
        tensor = constant(self.value())
        assert tensor is not None
        return tensor.numpy()


@dataclass(kw_only=True, slots=True)
class _Walk:
    """Collects what has the channels of a tensor; `free` while nothing else holds them."""

    apart: Collection[ir.Node]
    made: list[Place] = field(default_factory=list)
    read: list[Place] = field(default_factory=list)
    free: bool = True
    tensors: dict[ir.Value, None] = field(default_factory=dict)

    def follow(self, value: ir.Value) -> None:
        """Collect what has the channels of `value`."""
        waiting = [value]
        while waiting and self.free:
            found = waiting.pop()
            if found in self.tensors:
                continue
            self.tensors[found] = None
            self.free = not found.is_graph_output()
            waiting += self._making(found)
            for usage in found.uses():
                waiting += self._reading(usage.node, usage.idx)

    def _making(self, value: ir.Value) -> list[ir.Value]:
        """Return the tensors of the same channels that `value` is computed from."""
        node = value.producer()
        if node is not None and is_op(node, "MatMul"):
            self._weight(node, self.made, axis=1)
            return []
        if node is None or node.op_type not in _BY_CHANNEL:
            self.free = False
            return []
        computed = []
        for index, entry in enumerate(node.inputs):
            if (tensor := constant(entry)) is None:
                computed += [entry] if entry is not None else []
            elif tensor.size > 1:
                self.made.append(Place(node=node, index=index, axis=-1))
        return computed

    def _reading(self, node: ir.Node, index: int) -> Sequence[ir.Value]:
        """Return the tensors of the same channels that a reader makes."""
        if node in self.apart:
            return []
        if is_op(node, "MatMul") and index == 0:
            self._weight(node, self.read, axis=0)
            return []
        self.free = self.free and node.op_type in _BY_CHANNEL
        return node.outputs if self.free else []

    def _weight(self, matmul: ir.Node, places: list[Place], *, axis: int) -> None:
        """Collect a weight [inputs, outputs], with its scales when the axis is that of outputs."""
        weight = matmul.inputs[1]
        node = weight.producer() if weight is not None else None
        if _is_matrix(weight):
            places.append(Place(node=matmul, index=1, axis=axis))
        elif (
            weight is not None
            and node is not None
            and is_op(node, "DequantizeLinear")
            and _is_matrix(node.inputs[0])
            and _scaled_by_output(node)
            and len(list(weight.uses())) == 1
        ):
            places.append(Place(node=node, index=0, axis=axis))
            places += [Place(node=node, index=index, axis=0) for index in _scales(node) if axis == 1]
        else:
            self.free = False


def _is_matrix(value: ir.Value | None) -> bool:
    tensor = constant(value)
    return tensor is not None and len(tensor.shape) == 2


def _scaled_by_output(dequantize: ir.Node) -> bool:
    """Tell whether a weight [inputs, outputs] has one scale, or one for each output."""
    scale = constant(dequantize.inputs[1])
    by_output = int_attribute(dequantize, "axis", 1) in (1, -1) and not int_attribute(
        dequantize, "block_size", 0
    )
    return scale is not None and (scale.size == 1 or by_output)


def _scales(dequantize: ir.Node) -> Iterator[int]:
    """Yield the inputs of scales and zero points that there is one of for each output."""
    for index, entry in enumerate(dequantize.inputs):
        tensor = constant(entry)
        if index > 0 and tensor is not None and tensor.size > 1:
            yield index
