"""Where smoothing factors go in the graph.

1. The tensor is attention's output: 1/s goes into the value layer before it, whose outputs are the same channels. Costs
   nothing.
2. Anything else: a Mul before the layers, so that the residual path keeps the tensor as it is.

s goes into the weights that read the tensor.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from quantkit.graph.linear import Linear
from quantkit.quantization.rewrite import add_initializer, insert_before


def smooth(model: ir.Model, layers: Sequence[Linear], factors: Mapping[str, np.ndarray]) -> int:
    """Smooth the inputs of `layers` in place; the function computed stays the same up to rounding.

    Args:
        model: the FP32 model.
        layers: the layers that will be quantized. Layers that read the same tensor share its factors; a layer that
            is not among them reads the tensor as it was.
        factors: activation name → s, float32 [channels]; other activations are left as they are.

    Returns:
        How many tensors were folded into the value layer before them; the others have a Mul each.
    """
    readers: dict[str, list[Linear]] = defaultdict(list)
    for layer in layers:
        readers[layer.activation.name or ""].append(layer)
    folded = 0
    for name, group in readers.items():
        if name not in factors:
            continue
        source, shrink = group[0].activation, factors[name]
        value_layer = _value_layer(source, group)
        if value_layer is None:
            inverse = add_initializer(model.graph, f"{group[0].name}.input_smoothing", 1 / shrink)
            multiplied = insert_before(
                model.graph, group[0].node, "Mul", [source, inverse], name=f"{group[0].name}.input_smooth"
            )
            for layer in group:
                layer.node.replace_input_with(0, multiplied.outputs[0])
        else:
            _shrink_values(model.graph, *value_layer, shrink)
            folded += 1
        for layer in group:
            _scale_weight(model.graph, layer, shrink)
    return folded


def folds(layers: Sequence[Linear]) -> bool:
    """Tell whether 1/s of the tensor that all these layers read would go into the layer before, without a Mul."""
    return _value_layer(layers[0].activation, layers) is not None


def _value_layer(source: ir.Value, group: Sequence[Linear]) -> tuple[ir.Node, ir.Node] | None:
    """Return (attention, value MatMul) when `source` is attention's output and nobody else reads either."""
    attention = source.producer()
    if attention is None or attention.op_type != "MultiHeadAttention" or source.is_graph_output():
        return None
    if {usage.node for usage in source.uses()} != {layer.node for layer in group}:
        return None
    value = attention.inputs[2]
    producer = value.producer() if value is not None else None
    if value is None or producer is None or producer.op_type != "MatMul" or len(list(value.uses())) != 1:
        return None
    weight = producer.inputs[1]
    if weight is None or weight.const_value is None:
        return None
    bias = attention.inputs[3] if len(attention.inputs) > 3 else None
    return (attention, producer) if bias is None or bias.const_value is not None else None


def _shrink_values(graph: ir.Graph, attention: ir.Node, value: ir.Node, factors: np.ndarray) -> None:
    """Divide the outputs of the value layer, and its part of attention's bias [query | key | value], by `factors`."""
    weight = value.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    # A constant of its own: the layer may share its weight with another.
    smaller = add_initializer(graph, f"{value.name}.weight_smoothed", weight.const_value.numpy() / factors)
    value.replace_input_with(1, smaller)
    bias = attention.inputs[3] if len(attention.inputs) > 3 else None
    if bias is not None:
        assert bias.const_value is not None
        entries = bias.const_value.numpy().copy()
        entries[-factors.size :] /= factors
        attention.replace_input_with(3, add_initializer(graph, f"{attention.name}.bias_smoothed", entries))


def _scale_weight(graph: ir.Graph, layer: Linear, factors: np.ndarray) -> None:
    """Multiply the rows of a layer's weight by `factors`, as a constant of its own."""
    weight = layer.node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    array = weight.const_value.numpy()
    scaled = array * (factors[None, :] if layer.transposed else factors[:, None])
    layer.node.replace_input_with(1, add_initializer(graph, f"{layer.name}.weight_scaled", scaled))
