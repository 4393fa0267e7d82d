"""Bias correction: what quantization moves a layer's outputs by on average is taken back in its bias.

Errors of rounded weights and activations do not average to nothing: E[xᵀW - x̂ᵀŴ] is a vector, one number per output,
that calibration can measure (Nagel et al. 2019, "Data-Free Quantization"). Adding it to the bias costs nothing at run
time. Where a layer's bias is:

1. The layer is a Gemm: its third input, which may have been left out.
2. The layer's one reader is an Add with a constant: that constant.
3. The one reader is MultiHeadAttention: the layer's part of its bias [query | key | value].
4. The one reader is SkipLayerNormalization, BiasGelu or FastGelu: its bias, which may have been left out.

Anything else gets an Add of its own behind the layer.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.errors import QuantizationError
from quantkit.graph.constants import add_initializer
from quantkit.graph.linear import Linear
from quantkit.quantization.write.rewrite import add_behind

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


def correct_bias(graph: ir.Graph, layer: Linear, shift: np.ndarray) -> None:
    """Make the layer's outputs, bias included, larger by `shift`; nothing else changes.

    It is done before the layer is rewritten to integers: the rewrites leave biases where they are.

    Args:
        graph: the float graph, changed in place. A bias that others read too is not touched: the layer gets its own.
        layer: one of the graph's linear layers.
        shift: float32 [outputs].

    Raises:
        QuantizationError: a shift is NaN or infinite.
    """
    if shift.shape != (layer.shape[1],):
        raise ValueError(f"{layer.name}: a shift of shape {shift.shape} for {layer.shape[1]} outputs")
    if not np.isfinite(shift).all():
        raise QuantizationError(
            f"{layer.name}: its bias correction holds NaN or infinity; check the calibration set"
        )
    place = bias_place(layer)
    if place is None:
        constant = add_initializer(graph, f"{layer.name}.bias_corrected", shift.astype(np.float32))
        name, alone = f"{layer.name}.bias_correction", f"{layer.name}.uncorrected"
        add_behind(graph, layer.node, constant, name=name, alone=alone)
        return
    place.move(graph, shift, name=f"{layer.name}.bias_corrected")


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
