"""Inputs and outputs of a foreign graph: how they map to quantkit's names, and what cannot be mapped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from quantkit.errors import ArtifactError, UsageError
from quantkit.runtime.session import ATTENTION_MASK, INPUT_IDS, TOKEN_TYPE_IDS
from quantkit.tasks import Task

_INPUTS = (INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS)
_INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32)


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One input or output of a graph: its name there and here, its type, its dimensions (numbers where fixed)."""

    theirs: str
    ours: str
    kind: int
    shape: tuple[int | str, ...] | None

    def as_json(self) -> dict[str, Any]:
        """Return it for the stage record."""
        kind = onnx.TensorProto.DataType.Name(self.kind).lower()
        return {"name": self.theirs, "type": kind, "shape": list(self.shape or ())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The inputs and outputs of a graph."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    @property
    def renamed(self) -> dict[str, str]:
        """Names that change: theirs → ours."""
        values = (*self.inputs, *self.outputs)
        return {value.theirs: value.ours for value in values if value.theirs != value.ours}


def read_signature(model: onnx.ModelProto, rename: Sequence[str], where: str) -> Signature:
    """Return what a graph takes and gives, under the names that it is asked to have.

    Args:
        model: the model.
        rename: `theirs=ours`, each naming an input or output of the graph.
        where: the model, for messages.

    Raises:
        UsageError: a name to change is none of the graph's, or a new one is taken.
    """
    names = dict(entry.split("=", 1) for entry in rename)
    stored = {tensor.name for tensor in model.graph.initializer}  # old files list them among the inputs
    inputs = [_value(entry, names) for entry in model.graph.input if entry.name not in stored]
    outputs = [_value(entry, names) for entry in model.graph.output]
    there = [value.theirs for value in (*inputs, *outputs)]
    for theirs, ours in names.items():
        if theirs not in there:
            raise UsageError(
                f"--rename {theirs}={ours}: {where} has no input or output {theirs}; it has {', '.join(there)}"
            )
        if theirs != ours and ours in _names_inside(model):
            raise UsageError(
                f"--rename {theirs}={ours}: {where} uses the name {ours} for something else already"
            )
    return Signature(inputs=tuple(inputs), outputs=tuple(outputs))


def require_encoder(signature: Signature, task: Task, where: str) -> None:
    """Refuse a graph that does not take rows of tokens, or does not give what the task reads.

    Raises:
        ArtifactError: naming the input or output, and what there is.
    """
    _require_inputs(signature.inputs, where)
    found = {value.ours: value for value in signature.outputs}
    for name in task.outputs:
        if name not in found:
            raise ArtifactError(
                f"{where}: has no output {name} (it has {', '.join(found) or 'none'}); {task.name} reads "
                f"{' and '.join(task.outputs)}: give the model of this task, or say which it is with "
                f"--rename THEIRS={name}"
            )
        _require_output(found[name], task, where)


def _require_inputs(inputs: Sequence[Value], where: str) -> None:
    names = ", ".join(value.ours for value in inputs) or "none"
    found = {value.ours for value in inputs}
    for value in inputs:
        if value.ours not in _INPUTS:
            raise ArtifactError(
                f"{where}: takes an input {value.ours}, which is none of {', '.join(_INPUTS)} (it has {names}); "
                f"if it is one of them, say so with --rename {value.ours}=NAME"
            )
        if value.kind not in _INTEGERS:
            kind = value.as_json()["type"]
            raise ArtifactError(
                f"{where}: its input {value.ours} is {kind}, not int64; export the encoder again"
            )
        if value.shape is None or len(value.shape) != 2 or any(isinstance(size, int) for size in value.shape):
            raise ArtifactError(
                f"{where}: its input {value.ours} has the shape {_spelled(value)}, not [batch, sequence] of any size; "
                "export it with dynamic axes"
            )
    for name in (INPUT_IDS, ATTENTION_MASK):
        if name not in found:
            raise ArtifactError(
                f"{where}: has no input {name} (it has {names}); name it with --rename THEIRS={name}"
            )


def _require_output(value: Value, task: Task, where: str) -> None:
    if value.kind != onnx.TensorProto.FLOAT:
        kind = value.as_json()["type"]
        raise ArtifactError(f"{where}: its output {value.ours} is {kind}, not float32; export it in float32")
    tagged = task.per_token and task.per_label
    flat = value.shape is not None and len(value.shape) == 2 + tagged
    # A number there is a count of labels. A name may be either; the batches that are tried tell.
    if not flat or (task.per_token and isinstance((value.shape or ())[1], int)):
        wanted = "[batch, sequence]" if task.per_token else "[batch, labels]"
        wanted = "[batch, sequence, labels]" if tagged else wanted
        raise ArtifactError(
            f"{where}: its output {value.ours} has the shape {_spelled(value)}, not {wanted} as {task.name} reads it; "
            "give the model of this task"
        )


def _value(entry: onnx.ValueInfoProto, names: Mapping[str, str]) -> Value:
    tensor = entry.type.tensor_type
    shape = (
        tuple(size.dim_value if size.HasField("dim_value") else size.dim_param for size in tensor.shape.dim)
        if tensor.HasField("shape")
        else None
    )
    return Value(
        theirs=entry.name, ours=names.get(entry.name, entry.name), kind=tensor.elem_type, shape=shape
    )


def _names_inside(model: onnx.ModelProto) -> set[str]:
    graph = model.graph
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    return names | {entry.name for entry in (*graph.input, *graph.output, *graph.initializer)}


def _spelled(value: Value) -> str:
    return "unknown" if value.shape is None else f"[{', '.join(str(size) or '?' for size in value.shape)}]"
