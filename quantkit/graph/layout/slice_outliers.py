"""Outlier channels moved to the front of their tensor, where a slice takes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from quantkit.graph.fusion.pattern import constant, integers, is_op

# Operators that compute every channel by itself; their constants are one number, or one for each channel.
_BY_CHANNEL = {
    *("Add", "Cast", "DequantizeLinear", "Div", "Erf", "Mul", "Pow", "QuantizeLinear", "Sub", "Tanh"),
    *("BiasGelu", "FastGelu", "Gelu"),
}


def slice_outliers(model: ir.Model) -> int:
    """Take the channels of a Gather with a Slice, where they can be put in front; return how many it was done for.

    Gather picks channels out of the middle one number at a time, and reads a line of the cache for each. Between two
    linear layers the order of channels is free: the columns of the one, what stands between, and the rows of the other
    are put in another order, with the picked channels in front. The same numbers, and integer sums do not feel it.

    1. What is picked is a constant list of channels, and everything between the layers computes each by itself.
    2. Left as it is: the output of a normalization or an attention, whose channels others read in their order, and a
       layer before whose weight is not a float or QDQ constant.
    """
    graph = model.graph
    return sum(_slice(graph, node) for node in list(graph) if _picks_channels(node))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """A constant input of a node with one entry, row or column per channel along an axis."""

    node: ir.Node
    index: int
    axis: int

    def array(self) -> np.ndarray:
        """Return the constant."""
        tensor = constant(self.node.inputs[self.index])
        assert tensor is not None
        return tensor.numpy()


@dataclass(kw_only=True, slots=True)
class _Channels:
    """All that has the channels of one tensor between two linear layers; `free` while nothing else holds them."""

    gather: ir.Node
    places: list[_Place] = field(default_factory=list)
    free: bool = True
    _seen: set[ir.Value] = field(default_factory=set)

    def follow(self, value: ir.Value) -> None:
        """Collect what has the channels of `value`."""
        waiting = [value]
        while waiting and self.free:
            found = waiting.pop()
            if found in self._seen:
                continue
            self._seen.add(found)
            self.free = not found.is_graph_output()
            waiting += self._making(found)
            for usage in found.uses():
                waiting += self._reading(usage.node, usage.idx)

    def _making(self, value: ir.Value) -> list[ir.Value]:
        """Return the tensors of the same channels that `value` is computed from."""
        node = value.producer()
        if node is not None and is_op(node, "MatMul"):
            self._weight(node, axis=1)
            return []
        if node is None or node.op_type not in _BY_CHANNEL:
            self.free = False
            return []
        computed = []
        for index, entry in enumerate(node.inputs):
            if (tensor := constant(entry)) is None:
                computed += [entry] if entry is not None else []
            elif tensor.size > 1:
                self.places.append(_Place(node=node, index=index, axis=-1))
        return computed

    def _reading(self, node: ir.Node, index: int) -> Sequence[ir.Value]:
        """Return the tensors of the same channels that a reader makes."""
        if node is self.gather:
            return []
        if is_op(node, "MatMul") and index == 0:
            self._weight(node, axis=0)
            return []
        self.free = self.free and node.op_type in _BY_CHANNEL
        return node.outputs if self.free else []

    def _weight(self, matmul: ir.Node, *, axis: int) -> None:
        """Collect a weight [inputs, outputs], with its scales when the axis is that of outputs."""
        weight = matmul.inputs[1]
        node = weight.producer() if weight is not None else None
        if constant(weight) is not None:
            self.places.append(_Place(node=matmul, index=1, axis=axis))
        elif (
            weight is not None
            and node is not None
            and is_op(node, "DequantizeLinear")
            and constant(node.inputs[0]) is not None
            and len(list(weight.uses())) == 1
        ):
            self.places.append(_Place(node=node, index=0, axis=axis))
            self.places += [_Place(node=node, index=index, axis=0) for index in _scales(node) if axis == 1]
        else:
            self.free = False


def _scales(dequantize: ir.Node) -> Iterator[int]:
    """Yield the inputs of scales and zero points that there is one of for each output."""
    for index, entry in enumerate(dequantize.inputs):
        tensor = constant(entry)
        if index > 0 and tensor is not None and tensor.size > 1:
            yield index


def _picks_channels(node: ir.Node) -> bool:
    if not is_op(node, "Gather") or integers(node.inputs[1]) is None:
        return False
    return "axis" in node.attributes and node.attributes["axis"].as_int() == -1


def _slice(graph: ir.Graph, gather: ir.Node) -> int:
    source, picked = gather.inputs[0], integers(gather.inputs[1])
    assert source is not None
    assert picked is not None
    channels = _Channels(gather=gather)
    channels.follow(source)
    widths = {place.array().shape[place.axis] for place in channels.places}
    if not channels.free or len(widths) != 1 or len(set(picked)) != len(picked):
        return 0
    rest = np.setdiff1d(np.arange(widths.pop()), picked)
    order = np.concatenate([picked, rest])
    for place in channels.places:
        name = f"{(place.node.inputs[place.index] or source).name}.outliers_first.{place.node.name}"
        _constant_input(graph, place.node, place.index, np.take(place.array(), order, axis=place.axis), name)
    bounds = [
        _constant(graph, f"{gather.name}.{name}", np.array([number]))
        for name, number in (("begin", 0), ("end", len(picked)), ("axis", -1))
    ]
    node = ir.node("Slice", [source, *bounds], name=gather.name)
    graph.insert_before(gather, node)
    output = gather.outputs[0]
    result = node.outputs[0]
    result.type, result.shape, label = output.type, output.shape, output.name
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    graph.remove(gather, safe=True)
    result.name = label
    return 1


def _constant_input(graph: ir.Graph, node: ir.Node, index: int, array: np.ndarray, name: str) -> None:
    node.replace_input_with(index, _constant(graph, name, np.ascontiguousarray(array)))


def _constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    value = ir.val(name, const_value=ir.tensor(array, name=name))
    graph.initializers[name] = value
    return value
