"""NNCF 3.4, INT8 with its TRANSFORMER model type and default preset, on the unfused graph.

`ir` quantizes OpenVINO's own files of the model, `onnx` the ONNX file (which comes out as QDQ).
"""

import nncf
import onnx
import openvino
from measured import Work, read_work, reporting


def quantize(work: Work) -> None:
    """Quantize; all calibration rows are used."""
    dataset = nncf.Dataset(work.rows)
    settings = {"model_type": nncf.ModelType.TRANSFORMER, "subset_size": len(work.rows)}
    if work.artifact == "onnx":
        onnx.save(nncf.quantize(onnx.load(work.source), dataset, **settings), work.output)
    else:
        model = openvino.Core().read_model(work.source)
        openvino.save_model(nncf.quantize(model, dataset, **settings), work.output, compress_to_fp16=False)


if __name__ == "__main__":
    todo = read_work(__doc__, ("ir", "onnx"))
    with reporting():
        quantize(todo)
