"""Whether a foreign model is FP32 or INT8: what is executed and stored, against what was declared."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import onnx

from quantkit.errors import ArtifactError, UsageError
from quantkit.graph.kernels import Execution

Precision = Literal["fp32", "int8"]
_Type = onnx.TensorProto
_EIGHT_BITS_OR_LESS = tuple(
    getattr(_Type, name)
    for name in ("INT8", "UINT8", "INT4", "UINT4", "INT2", "UINT2")
    if hasattr(_Type, name)
)
_OTHER_FLOATS = (_Type.FLOAT16, _Type.BFLOAT16, _Type.DOUBLE)
# Kernels that round activations or unpack weights; a model that runs one is not FP32, whatever multiplies.
_ROUNDING = ("QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What tells the precision.

    Attributes:
        integer: linear layers that ran in integer kernels, of all `layers`.
        layers: all linear layers that ran.
        packed: weights, two dimensions or more, of 8 bits or less.
        other: weights in floating point of another width than 32 bits.
        rounding: kernels that ran and round.
    """

    integer: int
    layers: int
    packed: tuple[str, ...]
    other: tuple[str, ...]
    rounding: tuple[str, ...]

    @property
    def quantized(self) -> bool:
        """Whether anything is rounded to 8 bits or less."""
        return bool(self.integer or self.packed or self.rounding)


def look(execution: Execution, stored: Iterable[onnx.TensorProto]) -> Found:
    """Return what a traced run and the stored tensors say."""
    weights = [tensor for tensor in stored if len(tensor.dims) > 1]
    return Found(
        integer=sum(layer.integer for layer in execution.layers),
        layers=len(execution.layers),
        packed=tuple(tensor.name for tensor in weights if tensor.data_type in _EIGHT_BITS_OR_LESS),
        other=tuple(tensor.name for tensor in weights if tensor.data_type in _OTHER_FLOATS),
        rounding=tuple(name for name in _ROUNDING if name in execution.kernels),
    )


def decide(found: Found, declared: Precision | None, where: str) -> Precision:
    """Return the precision: as declared where that can be, else as found.

    Raises:
        ArtifactError: it is neither FP32 nor INT8.
        UsageError: what was declared is not what is there, or nothing was and it cannot be told.
    """
    if found.other and not found.quantized:
        raise ArtifactError(
            f"{where}: {len(found.other)} weights are no float32, such as {found.other[0]}; "
            "an artifact is fp32 or int8, so export the model in float32"
        )
    if declared == "fp32" and found.quantized:
        raise UsageError(f"--precision fp32: {where} {_evidence(found)}; it is no FP32 model")
    if declared == "int8" and not found.quantized:
        raise UsageError(
            f"--precision int8: {where} runs no integer kernel and stores no weight in 8 bits; it is an FP32 model"
        )
    if declared is None and found.quantized and not found.integer:
        raise UsageError(
            f"{where}: {_evidence(found)}, but all {found.layers} linear layers are multiplied in float; "
            "if that is meant, say so with --precision int8"
        )
    return declared or ("int8" if found.quantized else "fp32")


def _evidence(found: Found) -> str:
    if found.integer:
        return f"runs {found.integer} of {found.layers} linear layers in integer kernels"
    if found.packed:
        return f"stores {len(found.packed)} weights in 8 bits or less, such as {found.packed[0]}"
    return f"runs {found.rounding[0]}"


def facts(
    found: Found, precision: Precision, declared: Precision | None, execution: Execution
) -> dict[str, Any]:
    """Return what the stage record says."""
    linear = Counter(layer.kernel for layer in execution.layers)
    return {
        "precision": {
            "is": precision,
            "said by": "its kernels" if declared is None else "whoever imported it",
        },
        "linear_kernels": dict(sorted(linear.items())),
        "int8_coverage": execution.int8_coverage,
        "packed_weights": len(found.packed),
    }
