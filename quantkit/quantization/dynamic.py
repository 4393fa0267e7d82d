"""Dynamic INT8: activation ranges taken from each batch at run time.

x → DynamicQuantizeLinear → MatMulInteger(int8 weight) → Cast → Mul(x scale · weight scale), in ONNX's own operators;
ONNX Runtime fuses the chain into DynamicQuantizeMatMul or MatMulIntegerToFloat at load time. Layers that read the
same tensor (query, key, value) share one DynamicQuantizeLinear.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from quantkit.graph.linear import Linear
from quantkit.quantization.affine import quantize_weight
from quantkit.quantization.rewrite import (
    add_initializer,
    gemm_to_matmul,
    insert_before,
    use_integer_product,
)


def quantize_dynamic(
    model: ir.Model, layers: Sequence[Linear], *, per_channel: bool, reduce_range: bool
) -> None:
    """Rewrite `layers` in place.

    Raises:
        QuantizationError: a weight is NaN or infinite.
    """
    graph = model.graph
    quantized: dict[str, ir.Node] = {}
    for layer in layers:
        source = layer.activation
        assert source.name is not None
        if source.name not in quantized:
            quantized[source.name] = _dynamic_activation(graph, layer)
        weight = quantize_weight(
            layer.matrix(), per_channel=per_channel, reduce_range=reduce_range, name=layer.name
        )
        matmul = gemm_to_matmul(graph, layer).node
        values = add_initializer(graph, f"{layer.name}.weight_int8", weight.values)
        scales = add_initializer(graph, f"{layer.name}.weight_scale", weight.scales)
        zeros = add_initializer(
            graph, f"{layer.name}.weight_zero_point", np.zeros(weight.scales.shape, np.int8)
        )
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
