"""Static INT8: activation ranges calibrated beforehand, written as QDQ around each linear layer.

x → QuantizeLinear(uint8, per tensor) → DequantizeLinear → MatMul(·, DequantizeLinear(int8 weight)). ONNX Runtime turns
this into MatMulIntegerToFloat at load time, and other runtimes read the same file. Activations must be uint8
(signed ones lose the integer kernels on x86), the product stays float (no output Q/DQ), and layers that read the
same tensor (query, key, value) share one QuantizeLinear.

A pooled head (on one vector a row) would stay float as QDQ: ONNX Runtime fuses a MatMul of two dimensions and its
Add to a float Gemm before it looks at the Q/DQ pairs. It becomes QuantizeLinear → MatMulInteger → Cast → Mul, which
stays.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import insert_before
from quantkit.graph.linear import Linear
from quantkit.quantization.affine import affine_uint8
from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.write.rewrite import gemm_to_matmul, use_integer_product


def quantize_static(
    model: ir.Model,
    layers: Sequence[Linear],
    ranges: Mapping[str, tuple[float, float]],
    weights: Mapping[str, QuantizedWeight],
) -> None:
    """Rewrite `layers` in place.

    Args:
        model: the fused FP32 model.
        layers: the layers to quantize (`quantkit.graph.linear.linear_layers` of this model).
        ranges: activation value name → (low, high), one for each layer's input.
        weights: layer name → its weight [inputs, outputs], rounded (`quantkit.quantization.rounding`).
    """
    graph = model.graph
    quantized: dict[str, ir.Node] = {}
    for layer in layers:
        source = layer.activation
        assert source.name is not None
        if source.name not in quantized:
            quantized[source.name] = _quantized_activation(graph, layer, ranges[source.name])
        dequantized = quantized[source.name]
        weight = weights[layer.name]
        pooled = layer.pooled
        matmul = gemm_to_matmul(graph, layer).node
        values = add_initializer(graph, f"{layer.name}.weight_{weight.values.dtype}", weight.values)
        scales = add_initializer(graph, f"{layer.name}.weight_scale", weight.scales)
        zeros = add_initializer(graph, f"{layer.name}.weight_zero_point", weight.zero_points())
        if pooled:
            _use_integer_product(graph, matmul, dequantized, (values, zeros), weight.scales)
            continue
        attributes = {"axis": 1} if weight.scales.ndim else {}
        dequantize = insert_before(
            graph,
            matmul,
            "DequantizeLinear",
            [values, scales, zeros],
            name=f"{layer.name}.weight_dq",
            attributes=attributes,
        )
        matmul.replace_input_with(0, dequantized.outputs[0])
        matmul.replace_input_with(1, dequantize.outputs[0])


def _use_integer_product(
    graph: ir.Graph,
    matmul: ir.Node,
    dequantized: ir.Node,
    weight: tuple[ir.Value, ir.Value],
    weight_scales: np.ndarray,
) -> None:
    """Multiply the quantized activation itself, and rescale by both scales in one constant."""
    activation, scale, zero_point = dequantized.inputs
    assert activation is not None
    assert zero_point is not None
    assert scale is not None
    assert scale.const_value is not None
    scales = add_initializer(graph, f"{matmul.name}.product_scale", scale.const_value.numpy() * weight_scales)
    use_integer_product(graph, matmul, activation=(activation, zero_point), weight=weight, scale=scales)


def _quantized_activation(graph: ir.Graph, layer: Linear, bounds: tuple[float, float]) -> ir.Node:
    """Insert the Q/DQ pair before the first layer that reads the tensor, named after it; return the DQ."""
    scale, zero_point = affine_uint8(*bounds)
    name = f"{layer.name}.input"
    parameters = [
        add_initializer(graph, f"{name}_scale", np.asarray(scale, np.float32)),
        add_initializer(graph, f"{name}_zero_point", np.asarray(zero_point, np.uint8)),
    ]
    quantize = insert_before(
        graph, layer.node, "QuantizeLinear", [layer.activation, *parameters], name=f"{name}_q"
    )
    return insert_before(
        graph, layer.node, "DequantizeLinear", [quantize.outputs[0], *parameters], name=f"{name}_dq"
    )
