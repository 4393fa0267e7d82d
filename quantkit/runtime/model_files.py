"""The files of a model: its graph, and the weights that lie beside it."""

from collections.abc import Iterator
from pathlib import Path

import google.protobuf.message
import onnx
from google.protobuf.message import Message

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
        for tensor in stored_tensors(model)
        for entry in tensor.external_data
        if entry.key == "location"
    }


def stored_tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Yield every stored tensor wherever it is: initializers, attributes, subgraphs, functions, sparse ones."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for part in (value,) if isinstance(value, Message) else value:
            yield from stored_tensors(part)
