"""SmoothQuant: channels of an activation that stick out are made smaller, and the weights that read them larger.

One 8-bit range for a whole tensor is as wide as its widest channel, so narrow channels get few of the 256 levels. With
s_c = max|x_c|^alpha / max|W_c|^(1 - alpha) the product is unchanged, x W = (x / s)(s W), and the channels of x / s are
alike (Xiao et al. 2023, "SmoothQuant"). s W is quantized with a scale per output, which hardly feels it.

Where 1/s goes:

1. The tensor is attention's output: into the value layer before it, whose outputs are the same channels. Costs nothing.
2. Anything else: a Mul before the layers, so that the residual path keeps the tensor as it is.
"""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from quantkit.graph.linear import Linear
from quantkit.quantization.rewrite import add_initializer, insert_before
from quantkit.runtime.batching import Batch
from quantkit.runtime.session import Arrays

# A channel that calibration hardly saw is treated as this share of the median channel: enough levels if it wakes up on
# other text. Weights nobody reads are kept from dividing by nothing.
_LEAST_SHARE = 0.01
_FLOOR = 1e-5


class ChannelObserver:
    """The largest magnitude of every channel of several tensors, filled from several threads."""

    def __init__(self, tensors: Sequence[str]) -> None:
        """Begin with nothing seen."""
        self._tensors = tensors
        self._found: list[np.ndarray | None] = [None] * len(tensors)
        self._lock = threading.Lock()

    def consume(self, batch: Batch, outputs: Arrays) -> None:  # noqa: ARG002 - the signature of run_each
        """Take note of one unpadded row: activations [1, tokens, channels] or [1, channels]."""
        for index, values in enumerate(outputs):
            largest = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
            with self._lock:
                before = self._found[index]
                self._found[index] = largest if before is None else np.maximum(before, largest)

    def magnitudes(self) -> dict[str, np.ndarray]:
        """Return tensor name → largest magnitude, float32 [channels]."""
        return {
            name: found for name, found in zip(self._tensors, self._found, strict=True) if found is not None
        }


def smooth(
    model: ir.Model, layers: Sequence[Linear], magnitudes: Mapping[str, np.ndarray], alpha: float
) -> int:
    """Smooth the inputs of `layers` in place; the function computed stays the same up to rounding.

    Args:
        model: the FP32 model.
        layers: the layers that will be quantized. Layers that read the same tensor share its factors; a layer that
            is not among them reads the tensor as it was.
        magnitudes: activation name → largest magnitude of each channel, float32 [channels].
        alpha: how much of the difficulty moves into the weights, 0 to 1.

    Returns:
        How many tensors were folded into the value layer before them; the others have a Mul each.
    """
    readers: dict[str, list[Linear]] = defaultdict(list)
    for layer in layers:
        readers[layer.activation.name or ""].append(layer)
    folded = 0
    for name, group in readers.items():
        factors = smoothing_factors(magnitudes[name], [layer.matrix() for layer in group], alpha)
        source = group[0].activation
        value_layer = _value_layer(source, group)
        if value_layer is None:
            inverse = add_initializer(model.graph, f"{group[0].name}.input_smoothing", 1 / factors)
            multiplied = insert_before(
                model.graph, group[0].node, "Mul", [source, inverse], name=f"{group[0].name}.input_smooth"
            )
            for layer in group:
                layer.node.replace_input_with(0, multiplied.outputs[0])
        else:
            _shrink_values(model.graph, *value_layer, factors)
            folded += 1
        for layer in group:
            _scale_weight(model.graph, layer, factors)
    return folded


def smoothing_factors(magnitudes: np.ndarray, matrices: Sequence[np.ndarray], alpha: float) -> np.ndarray:
    """Return s, float32 [channels], scaled to a geometric mean of 1.

    Args:
        magnitudes: largest |x| of each channel, [channels].
        matrices: the weights that read the tensor, [channels, outputs] each.
        alpha: 0 leaves the activation as it is in shape, 1 makes all its channels alike.
    """
    weights = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    least = max(_LEAST_SHARE * float(np.median(magnitudes)), _FLOOR)
    logarithm = alpha * np.log(np.maximum(magnitudes, least)) - (1 - alpha) * np.log(
        np.maximum(weights, _FLOOR)
    )
    factors: np.ndarray = np.exp(logarithm - logarithm.mean()).astype(np.float32)
    return factors


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
