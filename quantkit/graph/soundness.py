"""Whether a graph can be what it says, before anything walks over it: weights as large as their dimensions, no cycles.

Libraries find out late, each in its own way, and some walks over a cycle would never end.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from quantkit.errors import ArtifactError
from quantkit.runtime.model_files import stored_tensors

_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
_MOST = 1 << 48  # bytes of a weight; no address space holds more
_TWO_NUMBERS = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)


def require_sound(path: Path, graph: onnx.GraphProto) -> None:
    """Check a graph; `path` is what messages call it.

    Raises:
        ArtifactError: a weight is of no kind, or not as large as its dimensions say; weights are sparse; a name is not
            UTF-8; or nodes read each other in a circle.
    """
    for name in _names(graph):
        if isinstance(name, bytes):
            raise ArtifactError(f"{path}: has a name that is not UTF-8 ({name[:40]!r}); export it again")
    if graph.sparse_initializer:
        raise ArtifactError(f"{path}: holds sparse weights, which quantkit does not read; export it again")
    for tensor in stored_tensors(graph):
        why = _wrong(tensor)
        if why:
            raise ArtifactError(f"{path}: its weight {tensor.name!r} {why}; export it again")
    _require_order(path, graph)


def _names(message: Message) -> Iterator[str | bytes]:
    """Yield every name in a message and in those inside it; one that is not UTF-8 as bytes, as protobuf gives it."""
    if isinstance(message, onnx.TensorProto):
        # Its numbers are many, and are not looked at.
        yield message.name
        return
    for field, value in message.ListFields():
        many = value if field.is_repeated else (value,)
        if field.type == FieldDescriptor.TYPE_STRING and field.name != "doc_string":
            yield from many
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            for inside in many:
                yield from _names(inside)


def _wrong(tensor: onnx.TensorProto) -> str | None:
    try:
        bits = ir.DataType(tensor.data_type).bitwidth
    except (ValueError, TypeError):
        # Texts have no width, and are no weights.
        return None if tensor.data_type == onnx.TensorProto.STRING else f"is of no kind ({tensor.data_type})"
    count = math.prod(tensor.dims)
    if min(tensor.dims, default=0) < 0 or count * bits > 8 * _MOST:
        return f"has impossible dimensions ({', '.join(map(str, tensor.dims[:8]))})"
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return _wrong_length(tensor, -(-count * bits // 8))
    if tensor.HasField("raw_data"):
        fits = len(tensor.raw_data) == -(-count * bits // 8)
    else:
        # Kinds of less than 8 bits are packed, and complex numbers are two.
        stored = sum(len(getattr(tensor, field)) for field in _FIELDS)
        numbers = 2 * count if tensor.data_type in _TWO_NUMBERS else count
        fits = stored == numbers or (bits < 8 and stored == -(-count * bits // 8))
    return None if fits else "is not as large as its dimensions say"


def _wrong_length(tensor: onnx.TensorProto, needed: int) -> str | None:
    length = {entry.key: entry.value for entry in tensor.external_data}.get("length")
    if length is not None and int(length) != needed:
        return "is not as large as its dimensions say"
    return None


def _require_order(path: Path, graph: onnx.GraphProto) -> None:
    """Raise `ArtifactError` when nodes read each other in a circle; they need not be in order."""
    made_by = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    waits_for = [{made_by[name] for name in node.input if name in made_by} for node in graph.node]
    read_by: list[list[int]] = [[] for _ in graph.node]
    for index, needed in enumerate(waits_for):
        for other in needed:
            read_by[other].append(index)
    open_inputs = [len(needed) for needed in waits_for]
    ready = [index for index, count in enumerate(open_inputs) if count == 0]
    done = 0
    while ready:
        done += 1
        for reader in read_by[ready.pop()]:
            open_inputs[reader] -= 1
            if open_inputs[reader] == 0:
                ready.append(reader)
    if done < len(graph.node):
        stuck = next(node for node, count in zip(graph.node, open_inputs, strict=True) if count)
        raise ArtifactError(
            f"{path}: the node {stuck.name or stuck.op_type!r} reads in a circle what it makes; export it again"
        )
