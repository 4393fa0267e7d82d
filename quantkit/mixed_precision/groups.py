"""Groups: the linear layers that read the same tensor, which are assigned one choice together."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from quantkit.graph.linear import Linear, linear_layers, matching
from quantkit.quantization.treatments.smooth.fold import folds

_NUMBERED = re.compile(r".*\.\d+\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Layers that read one tensor: query, key and value; attention's output; each half of the FFN; the head.

    Attributes:
        name: glob that matches its layers and no others, or the first layer's name when there is none.
        layers: their names, in graph order.
        kind: what is left of the name without the encoder layer, the same in all of them.
        tensor: the tensor they read.
        inputs: its width.
        outputs: each layer's width.
        pooled: whether the tensor is one vector a row, not one a token.
        foldable: smoothing costs nothing, as the layer before takes 1/s.
    """

    name: str
    layers: tuple[str, ...]
    kind: str
    tensor: str
    inputs: int
    outputs: tuple[int, ...]
    pooled: bool
    foldable: bool

    @property
    def macs(self) -> int:
        """Multiply-accumulates per token."""
        return self.inputs * sum(self.outputs)


def groups(model: ir.Model) -> tuple[Group, ...]:
    """Return the groups of a float model, in graph order."""
    layers = linear_layers(model.graph)
    found: dict[str, list[Linear]] = defaultdict(list)
    for layer in layers:
        found[layer.activation.name or ""].append(layer)
    names = [layer.name for layer in layers]
    return tuple(_group(tensor, members, names) for tensor, members in found.items())


def _group(tensor: str, layers: Sequence[Linear], names: Sequence[str]) -> Group:
    own = tuple(layer.name for layer in layers)
    name = _pattern(own, names)
    return Group(
        name=name,
        layers=own,
        kind=_NUMBERED.sub("", name),
        tensor=tensor,
        inputs=layers[0].shape[0],
        outputs=tuple(layer.shape[1] for layer in layers),
        pooled=layers[0].pooled,
        foldable=folds(layers),
    )


def _pattern(own: tuple[str, ...], names: Sequence[str]) -> str:
    """Return a glob for these layers alone, or the first one's name."""
    if len(own) == 1:
        return own[0]
    parents = {layer.rpartition(".")[0] for layer in own}
    pattern = f"{parents.pop()}.*"
    return pattern if not parents and matching(names, [pattern], key="groups") == set(own) else own[0]
