"""In an environment with onnxruntime: SOURCE.onnx ROWS.npz OUT.onnx KIND → an INT8 model of its quantizers."""

import sys

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

# Kind → format, activations. The first is what quantize_static does when nothing is said.
STATIC = {
    "static-default": (QuantFormat.QDQ, QuantType.QInt8),
    "static-qdq": (QuantFormat.QDQ, QuantType.QUInt8),
    "static-qoperator": (QuantFormat.QOperator, QuantType.QUInt8),
}


class Rows(CalibrationDataReader):  # type: ignore[misc]  # has no types
    """Calibration rows, one batch of one row at a time."""

    def __init__(self, path: str) -> None:
        rows = np.load(path)
        names = ("input_ids", "token_type_ids")
        self._rows = iter(
            [{name: rows[f"{name}_{n}"] for name in names} for n in range(len(rows.files) // 2)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next batch."""
        row = next(self._rows, None)
        return None if row is None else {**row, "attention_mask": np.ones_like(row["input_ids"])}


source, rows, out, kind = sys.argv[1:]
if kind == "dynamic":
    quantize_dynamic(source, out, weight_type=QuantType.QInt8)
else:
    layout, activations = STATIC[kind]
    quantize_static(
        source,
        out,
        Rows(rows),
        quant_format=layout,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
    )
