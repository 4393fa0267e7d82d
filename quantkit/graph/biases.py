"""Biases of linear layers: where they are in a graph, and how one is made larger.

1. The layer is a Gemm: its third input, which may have been left out.
2. The layer's one reader is an Add with a constant: that constant.
3. The one reader is MultiHeadAttention: the layer's part of its bias [query | key | value].
4. The one reader is SkipLayerNormalization, BiasGelu or FastGelu: its bias, which may have been left out.

Anywhere else there is none.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.linear import Linear

# Nodes that add a bias to what they read: operator → (inputs the layer may be, the bias input).
_BIAS_INPUTS: dict[str, tuple[tuple[int, ...], int]] = {
    "SkipLayerNormalization": ((0, 1), 4),
    "BiasGelu": ((0,), 1),
    "FastGelu": ((0,), 1),
}
_ATTENTION_BIAS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An input that is a bias: a float constant or left out; `begin:end` is the part of it that is meant."""

    node: ir.Node
    index: int
    begin: int | None = None
    end: int | None = None

    def value(self) -> ir.Value | None:
        """Return the bias, None when the input is left out."""
        return self.node.inputs[self.index] if self.index < len(self.node.inputs) else None

    def usable(self, *, optional: bool) -> bool:
        """Tell whether a constant is there, or nothing and that is allowed."""
        value = self.value()
        if value is None:
            return optional
        return value.const_value is not None and value.dtype == ir.DataType.FLOAT

    def move(self, graph: ir.Graph, by: np.ndarray, *, name: str) -> None:
        """Make the bias, or its part, larger by a vector; sums are float64.

        Args:
            graph: changed in place.
            by: float32 [width of the bias or its part].
            name: of the new constant. The old one is not touched: others may read it.
        """
        value = self.value()
        if value is None:
            moved = by.astype(np.float32)
            self.node.resize_inputs(max(len(self.node.inputs), self.index + 1))
        else:
            assert value.const_value is not None
            wide = value.const_value.numpy().astype(np.float64)
            if self.begin is None:
                wide = wide + by
            else:
                wide[self.begin : self.end] += by
            moved = wide.astype(np.float32)
        self.node.replace_input_with(self.index, add_initializer(graph, name, moved))


def bias_place(layer: Linear) -> Place | None:
    """Return where a layer's bias is, or may be put; None when it has no such place."""
    if layer.node.op_type == "Gemm":
        return _place(layer.node, 2, optional=True)
    output = layer.node.outputs[0]
    uses = list(output.uses())
    if len(uses) != 1 or output.is_graph_output():
        return None
    reader, index = uses[0].node, uses[0].idx
    if reader.op_type == "Add":
        return _place(reader, 1 - index, optional=False)
    if reader.op_type == "MultiHeadAttention":
        return _attention_place(reader, index, layer.shape[1])
    if reader.op_type in _BIAS_INPUTS:
        inputs, bias = _BIAS_INPUTS[reader.op_type]
        if index in inputs:
            return _place(reader, bias, optional=True)
    return None


def _attention_place(attention: ir.Node, index: int, width: int) -> Place | None:
    """Return the layer's part of [query | key | value]; query and key are equally wide, value may be otherwise."""
    whole = _place(attention, _ATTENTION_BIAS, optional=False)
    if whole is None or index >= _ATTENTION_BIAS:
        return None
    value = whole.value()
    assert value is not None
    assert value.const_value is not None
    begin = int(value.const_value.size) - width if index == 2 else index * width
    return Place(node=attention, index=_ATTENTION_BIAS, begin=begin, end=begin + width)


def _place(node: ir.Node, index: int, *, optional: bool) -> Place | None:
    place = Place(node=node, index=index)
    return place if place.usable(optional=optional) else None
