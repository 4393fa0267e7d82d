"""Reading and writing ONNX models: weights stay memory-mapped, external data stays inside the folder."""

from pathlib import Path

import google.protobuf.message
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from quantkit.artifact.artifact import EXTERNAL_DATA
from quantkit.errors import ArtifactError
from quantkit.files import inside, naming_output_errors
from quantkit.graph.soundness import require_sound
from quantkit.runtime.model_files import stored_tensors

# protobuf cannot serialise more than 2^31 - 1 bytes in one message; the rest of the graph needs some room too.
PROTOBUF_LIMIT = 2**31 - 64 * 2**20
# Tensors below this stay inside model.onnx even with external data: shapes, scales, axes.
_EXTERNAL_THRESHOLD = 1024


def load_model(path: Path) -> ir.Model:
    """Read an ONNX file; external weights are memory-mapped, not read.

    Raises:
        ArtifactError: it is missing, is not ONNX, is truncated, or its external data leaves the folder or is missing.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; make the artifact again") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from None
    except (google.protobuf.message.DecodeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: is not an ONNX model, or is truncated ({error}); export it again"
        ) from None
    if not proto.HasField("graph") or not proto.graph.node:
        raise ArtifactError(f"{path}: is not an ONNX model: it holds no graph; export it again")
    for tensor in stored_tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(path, tensor)
    require_sound(path, proto.graph)
    try:
        model = ir.serde.deserialize_model(proto)
    except (ir.serde.SerdeError, ValueError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise ArtifactError(f"{path}: is not a usable ONNX model ({cause}); export it again") from None
    ir.external_data.set_base_dir(model.graph, path.parent)
    return model


def _check_external(path: Path, tensor: onnx.TensorProto) -> None:
    """Check that the bytes of one external tensor are in a file inside the model's folder.

    Raises:
        ArtifactError: they are not.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = inside(path.parent, entries.get("location", ""))
    if not file.is_file():
        raise ArtifactError(f"{path}: its external data {file.name} is missing; put it beside the model")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
        end = offset + length if min(offset, length) >= 0 else file.stat().st_size + 1
    except ValueError:
        raise ArtifactError(
            f"{path}: where {tensor.name} is in {file.name} is not a number; export it again"
        ) from None
    if end > file.stat().st_size:
        raise ArtifactError(f"{path}: its external data {file.name} is truncated; export it again")


def save_model(model: ir.Model, path: Path, *, external: bool | None = None) -> None:
    """Write an ONNX file, with weights in `model.onnx.data` beside it when `external` (None: when above 2 GB).

    Unused nodes, initializers and opset imports are removed and nodes sorted, so equal graphs give equal bytes.
    `path` must not be the file that `model` was loaded from: its weights may still be mapped.

    Raises:
        OutputError: the disk is full, or there is no permission.
    """
    passes.RemoveUnusedNodesPass()(model)
    passes.RemoveUnusedOpsetsPass()(model)
    model.graph.sort()
    if external is None:
        external = weight_bytes(model) > PROTOBUF_LIMIT
    with naming_output_errors(path):
        if external:
            ir.save(model, path, external_data=EXTERNAL_DATA, size_threshold_bytes=_EXTERNAL_THRESHOLD)
        else:
            ir.external_data.load_to_model(model)
            ir.save(model, path)


def weight_bytes(model: ir.Model) -> int:
    """Return the bytes of all initializers."""
    return sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )


def has_external_data(path: Path) -> bool:
    """Tell whether the model at `path` keeps weights in `model.onnx.data`."""
    return (path.parent / EXTERNAL_DATA).is_file()
