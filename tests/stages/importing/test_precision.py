"""The precision of an imported model is what runs and what is stored; what is declared may not contradict it."""

from collections.abc import Callable
from dataclasses import replace

import onnx
import pytest

from quantkit.errors import ArtifactError, UsageError
from quantkit.graph.kernels import ExecutedLayer, Execution
from quantkit.stages.importing.precision import Found, Precision, decide, look

FLOAT = Found(integer=0, layers=25, packed=(), other=(), rounding=())
INTEGER = replace(FLOAT, integer=25, packed=("w",), rounding=("DynamicQuantizeLinear",))
PART = replace(INTEGER, integer=1)
PACKED = replace(FLOAT, packed=("w",))
ROUNDED = replace(FLOAT, rounding=("QuantizeLinear",))
HALF = replace(FLOAT, other=("w",))


@pytest.mark.parametrize(
    ("found", "declared", "expected"),
    [
        (FLOAT, None, "fp32"),
        (FLOAT, "fp32", "fp32"),
        (INTEGER, None, "int8"),
        (INTEGER, "int8", "int8"),
        (PART, None, "int8"),
        (PACKED, "int8", "int8"),
        (ROUNDED, "int8", "int8"),
    ],
)
def test_decided(found: Found, declared: Precision | None, expected: Precision) -> None:
    """Integer kernels are INT8; weights that are only stored so are INT8 where somebody says that it is meant."""
    assert decide(found, declared, "m") == expected


@pytest.mark.parametrize(
    ("found", "declared", "line"),
    [
        (INTEGER, "fp32", "--precision fp32: m runs 25 of 25 linear layers in integer kernels"),
        (PACKED, "fp32", "--precision fp32: m stores 1 weights in 8 bits or less, such as w"),
        (ROUNDED, "fp32", "--precision fp32: m runs QuantizeLinear"),
        (FLOAT, "int8", "--precision int8: m runs no integer kernel"),
        (PACKED, None, "all 25 linear layers are multiplied in float; .* --precision int8"),
        (ROUNDED, None, "m: runs QuantizeLinear, but all 25"),
    ],
)
def test_contradiction(found: Found, declared: Precision | None, line: str) -> None:
    """What is declared and is not there is refused, and so is what cannot be told."""
    with pytest.raises(UsageError, match=line):
        decide(found, declared, "m")


@pytest.mark.parametrize("declared", [None, "fp32", "int8"])
def test_other_floats(declared: Precision | None) -> None:
    """A float16 model is neither of the two."""
    with pytest.raises(ArtifactError, match="1 weights are no float32, such as w"):
        decide(HALF, declared, "m")


def test_look() -> None:
    """Weights have two dimensions or more; vectors and shapes of any type are none."""
    layer = ExecutedLayer(name="a", shape=(2, 2), kernel="MatMul", integer=False, macs=4)
    execution = Execution(
        tokens=1, kernels={"DequantizeLinear": 1}, layers=(layer, replace(layer, integer=True))
    )
    make: Callable[..., onnx.TensorProto] = onnx.helper.make_tensor
    kinds = onnx.TensorProto
    stored = [
        make("packed", kinds.UINT8, [2, 2], [1] * 4),
        make("vector", kinds.INT8, [2], [1] * 2),
        make("half", kinds.FLOAT16, [1, 2], [1] * 2),
        make("plain", kinds.FLOAT, [2, 2], [1] * 4),
        make("places", kinds.INT64, [1, 2], [1] * 2),
    ]
    assert look(execution, stored) == Found(
        integer=1, layers=2, packed=("packed",), other=("half",), rounding=("DequantizeLinear",)
    )
