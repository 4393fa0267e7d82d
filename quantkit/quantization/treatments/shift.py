"""Channel shift: every channel of a tensor is centred on zero before all of them are rounded to one range.

x W = (x - z) W + z W. With z in the middle of what calibration saw of each channel, the channels need half the range
that the largest magnitude needs, and rounding makes less noise (Wei et al. 2023, "Outlier Suppression+"). It costs
nothing at run time where z disappears in biases, and is done nowhere else:

-z    in the bias of the normalization that makes the tensor; or, for the output of attention, of the value layer, as
      probabilities sum to 1 and each channel of the values is moved alike.
+z W  in the bias of each linear layer that reads the tensor.
+z    in the bias of the residual connection that reads it: of SkipLayerNormalization, or of the layer that is added.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from quantkit.graph.biases import Place, bias_place
from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.smooth.fold import value_layer
from quantkit.quantization.treatments.whole_model import ModelDecision, ModelTreatment

# Operators that make tensors → their bias input.
_NORMS = {"LayerNormalization": 2, "SkipLayerNormalization": 3}
_SKIP_BIAS = 4


class Shift(ModelTreatment):
    """Channels are centred on zero wherever that costs nothing."""

    setting: ClassVar[str] = "channel_shift"
    nothing: ClassVar[str] = (
        "no layer reads a tensor that a normalization with a bias, or attention, makes and only biases follow; "
        "leave --channel-shift out"
    )

    @staticmethod
    def decide(model: ir.Model, statistics: Mapping[str, Statistics]) -> "Shifts":
        """Return z for every tensor that can be shifted."""
        return Shifts(by_tensor=channel_shifts(model, statistics))


@dataclass(frozen=True, kw_only=True, slots=True)
class Shifts(ModelDecision):
    """Tensor name → z, float32 [channels]."""

    by_tensor: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Return how many tensors are shifted."""
        return len(self.by_tensor)

    def view(self, statistics: Mapping[str, Statistics]) -> dict[str, Statistics]:
        """Return the statistics of the shifted tensors."""
        shifts = self.by_tensor
        return {
            name: shifted(seen, shifts[name]) if name in shifts else seen for name, seen in statistics.items()
        }

    def rewrite(self, model: ir.Model) -> None:
        """Move biases."""
        shift_channels(model, self.by_tensor)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shiftable:
    """A tensor that can be shifted.

    Attributes:
        made: the bias that takes -z.
        layers: the linear layers that read it.
        residuals: the biases that take +z.
    """

    made: Place
    layers: tuple[tuple[Linear, Place], ...]
    residuals: tuple[Place, ...]


def channel_shifts(model: ir.Model, statistics: Mapping[str, Statistics]) -> dict[str, np.ndarray]:
    """Return tensor name → z, float32 [channels], of the tensors that can be shifted for nothing.

    Args:
        model: a float model; it is not changed.
        statistics: of the tensors that its linear layers read.
    """
    shifts = {}
    for name in _shiftable(model, statistics):
        seen = statistics[name]
        shifts[name] = ((seen.low.astype(np.float64) + seen.high) / 2).astype(np.float32)
    return shifts


def shift_channels(model: ir.Model, shifts: Mapping[str, np.ndarray]) -> None:
    """Shift tensors of a float model in place; its outputs stay the same up to rounding.

    Args:
        model: the model that the shifts were found in.
        shifts: tensor name → z, float32 [channels].

    Raises:
        ValueError: one of them cannot be shifted in this model, as it is another one or was rewritten.
    """
    shiftable = _shiftable(model, shifts)
    if lost := shifts.keys() - shiftable.keys():
        raise ValueError(f"{min(lost)}: cannot be shifted in this model")
    for name, found in shiftable.items():
        shift = shifts[name]
        found.made.move(model.graph, -shift, name=f"{name}.bias_shifted")
        for layer, place in found.layers:
            restored = shift.astype(np.float64) @ layer.matrix()
            place.move(model.graph, restored, name=f"{layer.name}.bias_restored")
        for index, place in enumerate(found.residuals):
            place.move(model.graph, shift, name=f"{name}.residual_restored_{index}")


def shifted(statistics: Statistics, shift: np.ndarray) -> Statistics:
    """Return the statistics of x - z, given those of x."""
    z = shift.astype(np.float64)
    mean = statistics.mean - z
    moment = statistics.moment
    if moment is not None:
        # E(x - z)(x - z)ᵀ = E x xᵀ - E x zᵀ - z (E x - z)ᵀ
        wide = moment.astype(np.float64)
        wide -= np.outer(statistics.mean, z)
        wide -= np.outer(z, mean)
        moment = wide.astype(np.float32)
    return replace(
        statistics,
        low=statistics.low - shift,
        high=statistics.high - shift,
        mean=mean,
        square=np.maximum(statistics.square - 2 * z * statistics.mean + z**2, 0),
        moment=moment,
        sample=None if statistics.sample is None else statistics.sample - shift,
    )


def _shiftable(model: ir.Model, names: Mapping[str, object]) -> dict[str, _Shiftable]:
    """Return name → tensor, of those with these names that can be shifted, in graph order."""
    layers: dict[str, list[Linear]] = {}
    for layer in linear_layers(model.graph):
        if layer.activation.name in names:
            layers.setdefault(layer.activation.name or "", []).append(layer)
    found = {name: _described(readers) for name, readers in layers.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _described(readers: list[Linear]) -> _Shiftable | None:
    """Return the tensor that layers read; None when its making, or one of its readers, has no bias for z."""
    tensor = readers[0].activation
    if tensor.is_graph_output():
        return None
    made = _made(readers)
    places = [bias_place(layer) for layer in readers]
    linear = {layer.node for layer in readers}
    # The shape of a tensor stays what it is.
    others = [usage for usage in tensor.uses() if usage.node not in linear and usage.node.op_type != "Shape"]
    residuals = [_residual_place(usage.node, usage.idx) for usage in others]
    if made is None or None in places or None in residuals:
        return None
    return _Shiftable(
        made=made,
        layers=tuple((layer, place) for layer, place in zip(readers, places, strict=True) if place),
        residuals=tuple(place for place in residuals if place),
    )


def _made(readers: list[Linear]) -> Place | None:
    """Return the bias of what makes the tensor that layers read."""
    tensor = readers[0].activation
    node = tensor.producer()
    if node is None:
        return None
    if node.op_type in _NORMS and tensor is node.outputs[0]:
        place = Place(node=node, index=_NORMS[node.op_type])
        return place if place.usable(optional=True) else None
    values = value_layer(readers)
    return bias_place(values) if values is not None else None


def _residual_place(node: ir.Node, index: int) -> Place | None:
    """Return the bias of the residual connection that reads a tensor as its input `index`."""
    if node.op_type == "SkipLayerNormalization" and index in (0, 1):
        place = Place(node=node, index=_SKIP_BIAS)
        return place if place.usable(optional=True) else None
    if node.op_type != "Add":
        return None
    # Not fused: x + (h + bias).
    biased = node.inputs[1 - index]
    add = biased.producer() if biased is not None else None
    if biased is None or add is None or add.op_type != "Add":
        return None
    if len(list(biased.uses())) != 1 or biased.is_graph_output():
        return None
    places = (Place(node=add, index=index) for index in range(2))
    return next((place for place in places if place.usable(optional=False)), None)
