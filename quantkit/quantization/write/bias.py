"""Bias correction: what quantization moves a layer's outputs by on average is taken back in its bias.

Errors of rounded weights and activations do not average to nothing: E[xᵀW - x̂ᵀŴ] is a vector, one number per output,
that calibration can measure (Nagel et al. 2019, "Data-Free Quantization"). Adding it to the bias costs nothing at run
time. A layer that has no bias of its own (`quantkit.graph.biases`) gets an Add behind it.
"""

import numpy as np
import onnx_ir as ir

from quantkit.errors import QuantizationError
from quantkit.graph.biases import bias_place
from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import add_behind
from quantkit.graph.linear import Linear


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
