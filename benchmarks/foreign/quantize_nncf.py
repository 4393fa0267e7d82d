"""In an environment with NNCF: SOURCE.onnx ROWS.npz OUT.onnx → an INT8 model of nncf.quantize."""

import sys

import nncf
import numpy as np
import onnx

source, path, out = sys.argv[1:]
rows = np.load(path)
batches = [
    {
        "input_ids": rows[f"input_ids_{number}"],
        "attention_mask": np.ones_like(rows[f"input_ids_{number}"]),
        "token_type_ids": rows[f"token_type_ids_{number}"],
    }
    for number in range(len(rows.files) // 2)
]
quantized = nncf.quantize(
    onnx.load(source),
    nncf.Dataset(batches),
    model_type=nncf.ModelType.TRANSFORMER,
    target_device=nncf.TargetDevice.CPU,
)
onnx.save(quantized, out)
