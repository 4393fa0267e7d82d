"""Scheme → the rewrite that makes it of float layers that read one tensor."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Choice, Scheme
from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.observe.range import Range
from quantkit.quantization.write.blockwise import quantize_blockwise
from quantkit.quantization.write.dynamic import quantize_dynamic
from quantkit.quantization.write.static import quantize_static


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a rewrite puts into the graph.

    Attributes:
        choice: of the layers.
        weights: layer name → its weight, rounded; for static and dynamic.
        bounds: the range of the tensor; for static.
    """

    choice: Choice
    weights: Mapping[str, QuantizedWeight]
    bounds: Range | None = None


def _keep_float(model: ir.Model, layers: Sequence[Linear], parts: Parts) -> None:
    """Leave the layers as they are."""


def _make_static(model: ir.Model, layers: Sequence[Linear], parts: Parts) -> None:
    assert parts.bounds is not None
    bounds = (parts.bounds.low, parts.bounds.high)
    quantize_static(model, layers, {layers[0].activation.name or "": bounds}, parts.weights)


def _make_dynamic(model: ir.Model, layers: Sequence[Linear], parts: Parts) -> None:
    quantize_dynamic(model, layers, parts.weights)


def _make_blockwise(model: ir.Model, layers: Sequence[Linear], parts: Parts) -> None:
    quantize_blockwise(model, layers, parts.choice.block_size)


SCHEMES: dict[Scheme, Callable[[ir.Model, Sequence[Linear], Parts], None]] = {
    "float": _keep_float,
    "static": _make_static,
    "dynamic": _make_dynamic,
    "blockwise": _make_blockwise,
}
