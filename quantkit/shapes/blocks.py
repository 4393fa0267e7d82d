"""Blocks: attention and feed-forward network of every layer, which a search may narrow or leave out.

A block reads the residual stream, computes units (attention heads, or neurons) and projects them back by one linear
layer, its output projection; the residual's layer normalization stays whatever becomes of the block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from quantkit.architectures import Config, architecture
from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, CheckpointError
from quantkit.graph.linear import Linear, linear_layers

Kind = Literal["attention", "feed_forward"]
FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert", "decibert")
"""Families whose layers have attention and feed-forward network in BERT's order and under BERT's names."""
_READERS: Mapping[Kind, tuple[str, ...]] = {
    "attention": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "feed_forward": ("intermediate.dense",),
}
_PROJECTION: Mapping[Kind, str] = {"attention": "attention.output.dense", "feed_forward": "output.dense"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One block of the teacher.

    Attributes:
        layer: number of its encoder layer.
        kind: attention or feed-forward network.
        path: module path of the encoder layer.
        units: heads or neurons.
        size: columns of one unit: the width of a head, or 1.
        hidden: width of the residual stream.
    """

    layer: int
    kind: Kind
    path: str
    units: int
    size: int
    hidden: int

    @property
    def slot(self) -> str:
        """What reports and the solver call it, such as `layer.3.attention`."""
        return f"layer.{self.layer}.{self.kind}"

    @property
    def readers(self) -> tuple[str, ...]:
        """Names of the linear layers that read the residual stream."""
        return tuple(f"{self.path}.{name}" for name in _READERS[self.kind])

    @property
    def projection(self) -> str:
        """Name of the output projection."""
        return f"{self.path}.{_PROJECTION[self.kind]}"

    @property
    def width(self) -> int:
        """Inputs of the output projection."""
        return self.units * self.size

    def columns(self, units: np.ndarray) -> np.ndarray:
        """Return the columns of units, int64, unit by unit."""
        found: np.ndarray = (units[:, None] * self.size + np.arange(self.size)).reshape(-1)
        return found

    def parameters(self, units: int) -> int:
        """Return how many weights and biases it has with so many units, its layer normalization left out."""
        inner = units * self.size
        return len(self.readers) * inner * (self.hidden + 1) + (inner + 1) * self.hidden


def blocks_of(artifact: Artifact, model: ir.Model) -> tuple[Block, ...]:
    """Return the blocks of a fused float model, from the first layer to the last.

    Raises:
        CheckpointError: the family's layers are of another kind.
        ArtifactError: the graph is not fused, or not what the config says.
    """
    where = str(artifact.path / "config.json")
    family = architecture(artifact.config, where)
    require_searchable(family.model_type, where)
    layers = {layer.name: layer for layer in linear_layers(model.graph)}
    shapes = family.read_shape(Config(values=artifact.config, where=where)).layers
    found: list[Block] = []
    for number, shape in enumerate(shapes):
        path = f"{family.encoder}.encoder.layer.{number}"
        kinds: tuple[tuple[Kind, int, int], ...] = (
            ("attention", shape.heads, shape.head_size),
            ("feed_forward", shape.feed_forward, 1),
        )
        for kind, units, size in kinds:
            if units:
                block = Block(layer=number, kind=kind, path=path, units=units, size=size, hidden=shape.hidden)
                _require_there(artifact, block, layers)
                found.append(block)
    return tuple(found)


def require_searchable(family: str, where: str) -> None:
    """Check that a family's layers can be searched.

    Raises:
        CheckpointError: they are of another kind.
    """
    if family not in FAMILIES:
        raise CheckpointError(
            f"{where}: the layers of {family} cannot be searched; give a checkpoint of the families "
            f"{', '.join(FAMILIES)}"
        )


def _require_there(artifact: Artifact, block: Block, layers: Mapping[str, Linear]) -> None:
    missing = [name for name in (*block.readers, block.projection) if name not in layers]
    if missing or layers[block.projection].shape != (block.width, block.hidden):
        raise ArtifactError(
            f"{artifact.model_path}: its graph has no linear layer {missing[0] if missing else block.projection} of "
            "the shape that config.json says; export the checkpoint again"
        )
