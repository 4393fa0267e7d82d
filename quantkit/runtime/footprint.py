"""What an instance reads over and over while it runs: its weights, and the activations of a batch. An estimate."""

from dataclasses import dataclass
from pathlib import Path

import google.protobuf.message
import onnx

_FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Bytes of the weights, and of the activations of one instance."""

    weights: int
    activations: int

    @property
    def bytes(self) -> int:
        """Both together."""
        return self.weights + self.activations


def footprint(path: Path, token_budget: int) -> Footprint:
    """Return what a model needs in the cache, for batches of so many tokens.

    Activations are those around the widest linear layer: its inputs and outputs, and two more tensors as wide as its
    narrow side (the residual and what is added to it), as float32. Attention scores are left out: kernels work on them
    block by block. A table that tokens look up (embeddings) counts as weights, though only some of it is read.

    A file that is no model has no activations; whoever opens it says what is wrong with it.
    """
    weights = model_bytes(path)
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (OSError, google.protobuf.message.DecodeError):
        return Footprint(weights=weights, activations=0)
    looked_up = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    shapes = [tensor.dims for tensor in graph.initializer if tensor.name not in looked_up]
    width = max((sum(shape) + 2 * min(shape) for shape in shapes if len(shape) == 2), default=0)
    return Footprint(weights=weights, activations=_FLOAT_BYTES * token_budget * width)


def model_bytes(path: Path) -> int:
    """Return the size of a model's files: the ONNX file and, if there is one, the weights beside it."""
    files = (path, path.with_name(f"{path.name}.data"))
    return sum(file.stat().st_size for file in files if file.is_file())
