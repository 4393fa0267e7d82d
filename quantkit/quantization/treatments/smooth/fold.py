"""Where smoothing factors go in the graph.

1. The tensor is attention's output, fused or not: 1/s goes into the value layer before it, whose outputs are the same
   channels. Costs nothing.
2. Anything else: a Mul before the layers, so that the residual path keeps the tensor as it is.

s goes into the weights that read the tensor.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import insert_before
from quantkit.graph.linear import Linear


@dataclass(frozen=True, kw_only=True, slots=True)
class _Values:
    """The value layer of an attention: its MatMul, and the node and input that hold its bias, or None."""

    layer: ir.Node
    bias: tuple[ir.Node, int] | None


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
        values = _find_values(source, group)
        if values is None:
            inverse = add_initializer(model.graph, f"{group[0].name}.input_smoothing", 1 / shrink)
            multiplied = insert_before(
                model.graph, group[0].node, "Mul", [source, inverse], name=f"{group[0].name}.input_smooth"
            )
            for layer in group:
                layer.node.replace_input_with(0, multiplied.outputs[0])
        else:
            _shrink_values(model.graph, values, shrink)
            folded += 1
        for layer in group:
            _scale_weight(model.graph, layer, shrink)
    return folded


def folds(layers: Sequence[Linear]) -> bool:
    """Tell whether 1/s of the tensor that all these layers read would go into the layer before, without a Mul."""
    return _find_values(layers[0].activation, layers) is not None


def value_layer(layers: Sequence[Linear]) -> Linear | None:
    """Return the value layer of the attention whose output all these layers read, and nobody else; or None."""
    found = _find_values(layers[0].activation, layers)
    return None if found is None else Linear(node=found.layer, transposed=False)


def _find_values(source: ir.Value, group: Sequence[Linear]) -> _Values | None:
    """Return where the values come from when `source` is attention's output and nobody else reads either."""
    node = source.producer()
    if node is None or source.is_graph_output():
        return None
    if {usage.node for usage in source.uses()} != {layer.node for layer in group}:
        return None
    found = _fused_values(node) if node.op_type == "MultiHeadAttention" else _plain_values(node)
    if found is None:
        return None
    weight = found.layer.inputs[1]
    if weight is None or weight.const_value is None or len(weight.const_value.shape) != 2:
        return None
    # Channel by channel only when attention's output has the channels of the value layer.
    return found if weight.const_value.shape[1] == group[0].shape[0] else None


def _fused_values(attention: ir.Node) -> _Values | None:
    """Return the value layer of a MultiHeadAttention; its bias is the last part of [query | key | value]."""
    layer = _only_producer(attention.inputs[2], "MatMul")
    bias = attention.inputs[3] if len(attention.inputs) > 3 else None
    if layer is None or (bias is not None and bias.const_value is None):
        return None
    return _Values(layer=layer, bias=None if bias is None else (attention, 3))


def _plain_values(node: ir.Node) -> _Values | None:
    """Return the value layer of attention that is not fused.

    Layer → Add(bias) → Reshape [rows, tokens, heads, width] → Transpose → MatMul(probabilities, ·) → Transpose →
    Reshape: both transposes swap tokens and heads, so a channel stays a channel.
    """
    if node.op_type != "Reshape":
        return None
    merged = _only_producer(node.inputs[0], "Transpose")
    mixed = _only_producer(merged.inputs[0], "MatMul") if merged is not None else None
    split = _only_producer(mixed.inputs[1], "Transpose") if mixed is not None else None
    shaped = _only_producer(split.inputs[0], "Reshape") if split is not None else None
    if merged is None or split is None or shaped is None or not (_swaps(merged) and _swaps(split)):
        return None
    if (layer := _only_producer(shaped.inputs[0], "MatMul")) is not None:
        return _Values(layer=layer, bias=None)
    if (add := _only_producer(shaped.inputs[0], "Add")) is None:
        return None
    for index, value in enumerate(add.inputs):
        layer = _only_producer(add.inputs[1 - index], "MatMul")
        if layer is not None and value is not None and value.const_value is not None:
            one_a_channel = len(value.const_value.shape) == 1 and value.const_value.size > 1
            return _Values(layer=layer, bias=(add, index)) if one_a_channel else None
    return None


def _only_producer(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """Return the node that makes `value` if it is of this type and one node reads it."""
    node = value.producer() if value is not None else None
    if value is None or node is None or node.op_type != op_type:
        return None
    return node if len(list(value.uses())) == 1 and not value.is_graph_output() else None


def _swaps(transpose: ir.Node) -> bool:
    """Tell whether the second and third of four axes change places."""
    order = transpose.attributes.get("perm")
    return order is not None and list(order.as_ints()) == [0, 2, 1, 3]


def _shrink_values(graph: ir.Graph, values: _Values, factors: np.ndarray) -> None:
    """Divide the outputs of the value layer, its bias included, by `factors`."""
    layer, weight = values.layer, values.layer.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    # A constant of its own: the layer may share its weight with another.
    smaller = add_initializer(graph, f"{layer.name}.weight_smoothed", weight.const_value.numpy() / factors)
    layer.replace_input_with(1, smaller)
    if values.bias is not None:
        node, index = values.bias
        bias = node.inputs[index]
        assert bias is not None
        assert bias.const_value is not None
        entries = bias.const_value.numpy().copy()
        entries[-factors.size :] /= factors
        node.replace_input_with(index, add_initializer(graph, f"{node.name}.bias_smoothed", entries))


def _scale_weight(graph: ir.Graph, layer: Linear, factors: np.ndarray) -> None:
    """Multiply the rows of a layer's weight by `factors`, as a constant of its own."""
    weight = layer.node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    array = weight.const_value.numpy()
    scaled = array * (factors[None, :] if layer.transposed else factors[:, None])
    layer.node.replace_input_with(1, add_initializer(graph, f"{layer.name}.weight_scaled", scaled))
