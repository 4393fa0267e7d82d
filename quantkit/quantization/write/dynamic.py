"""Dynamic INT8: activation ranges taken from each batch at run time.

x → DynamicQuantizeLinear → MatMulInteger(int8 weight) → Cast → Mul(x scale · weight scale), in ONNX's own operators;
ONNX Runtime fuses the chain into DynamicQuantizeMatMul or MatMulIntegerToFloat at load time. Layers that read the
same tensor (query, key, value) share one DynamicQuantizeLinear.
"""

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import insert_before
from quantkit.graph.linear import Linear
from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.write.rewrite import gemm_to_matmul, use_integer_product


def quantize_dynamic(
    model: ir.Model, layers: Sequence[Linear], weights: Mapping[str, QuantizedWeight]
) -> None:
    """Rewrite `layers` in place.

    Args:
        model: the fused FP32 model.
        layers: the layers to quantize (`quantkit.graph.linear.linear_layers` of this model).
        weights: layer name → its weight [inputs, outputs], rounded (`quantkit.quantization.rounding`).
    """
    graph = model.graph
    quantized: dict[str, ir.Node] = {}
    for layer in layers:
        source = layer.activation
        assert source.name is not None
        if source.name not in quantized:
            quantized[source.name] = _dynamic_activation(graph, layer)
        weight = weights[layer.name]
        matmul = gemm_to_matmul(graph, layer).node
        values = add_initializer(graph, f"{layer.name}.weight_{weight.values.dtype}", weight.values)
        scales = add_initializer(graph, f"{layer.name}.weight_scale", weight.scales)
        zeros = add_initializer(graph, f"{layer.name}.weight_zero_point", weight.zero_points())
        activation, scale, zero_point = quantized[source.name].outputs
        product = insert_before(graph, matmul, "Mul", [scale, scales], name=f"{layer.name}.scales")
        use_integer_product(
            graph,
            matmul,
            activation=(activation, zero_point),
            weight=(values, zeros),
            scale=product.outputs[0],
        )


def _dynamic_activation(graph: ir.Graph, layer: Linear) -> ir.Node:
    """Insert DynamicQuantizeLinear before the first layer that reads the tensor, named after that layer."""
    name = f"{layer.name}.input_q"
    node = ir.node("DynamicQuantizeLinear", [layer.activation], name=name, num_outputs=3)
    for output, what in zip(node.outputs, ("values", "scale", "zero_point"), strict=True):
        output.name = f"{name}_{what}"
    graph.insert_before(layer.node, node)
    return node
