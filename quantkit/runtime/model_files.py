"""The files of a model: its graph, and the weights that lie beside it."""

from collections.abc import Iterator
from pathlib import Path

import google.protobuf.message
import onnx

from quantkit.errors import ArtifactError


def read_graph(path: Path, name: str | None = None) -> onnx.ModelProto:
    """Read an ONNX file without its external weights.

    Args:
        path: the file.
        name: what messages call the model when its path is a temporary one; the path otherwise.

    Raises:
        ArtifactError: it is missing, is not an ONNX model, or is truncated.
    """
    called = name or str(path)
    try:
        return onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise ArtifactError(f"{called}: no such model; make the artifact again") from None
    except google.protobuf.message.DecodeError:
        raise ArtifactError(
            f"{called}: is not an ONNX model, or is truncated; make or copy it again"
        ) from None


def external_files(model: onnx.ModelProto) -> set[str]:
    """Return the names of the files that hold weights of a model, beside its graph."""
    return {
        entry.value
        for tensor in stored_tensors(model.graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def stored_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield every stored tensor: initializers and attributes, subgraphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for subgraph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from stored_tensors(subgraph)
