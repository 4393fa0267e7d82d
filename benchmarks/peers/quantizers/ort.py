"""onnxruntime: its transformer optimizer, its pre-processing, then quantize_dynamic or quantize_static.

`dynamic` and `static` are what its documentation leads to: every setting is the default, but for the heads and the
hidden size, which the optimizer would guess wrong. `tuned` is the best static artifact known by hand: separate Q/K/V
MatMuls, the raw attention mask, uint8 activations, int8 weights per channel, only MatMuls with constant weights, no
Q/DQ behind them.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from measured import Row, Work, read_work, reporting
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference
from onnxruntime.transformers.fusion_options import AttentionMaskFormat, FusionOptions
from onnxruntime.transformers.optimizer import optimize_model


class Rows(CalibrationDataReader):  # type: ignore[misc]  # has no types
    """Calibration rows, one at a time."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows: Iterator[Row] = iter(rows)

    def get_next(self) -> Row | None:
        """Return the next row, None at the end."""
        return next(self._rows, None)


def fuse(work: Work, path: Path, options: FusionOptions | None = None) -> None:
    """Fuse with onnxruntime's optimizer.

    opt_level=0, because the default level imports torch; the fused graph is the same.
    """
    optimized = optimize_model(
        str(work.source),
        model_type="bert",
        num_heads=work.heads,
        hidden_size=work.hidden,
        optimization_options=options,
        opt_level=0,
    )
    optimized.save_model_to_file(str(path))


def quantize_by_default(work: Work, folder: Path) -> None:
    """Quantize as the documentation says, every setting its default."""
    fused, ready = folder / "fused.onnx", folder / "ready.onnx"
    fuse(work, fused)
    quant_pre_process(str(fused), str(ready))
    if work.artifact == "dynamic":
        quantize_dynamic(str(ready), str(work.output))
    else:
        quantize_static(str(ready), str(work.output), Rows(work.rows))


def quantize_tuned(work: Work, folder: Path) -> None:
    """Quantize statically, tuned by hand."""
    options = FusionOptions("bert")
    options.use_multi_head_attention = True
    options.attention_mask_format = AttentionMaskFormat.AttentionMask
    fused, ready = folder / "fused.onnx", folder / "ready.onnx"
    fuse(work, fused, options)
    model = SymbolicShapeInference.infer_shapes(onnx.load(fused), auto_merge=True)
    onnx.save(model, ready)
    constants = {tensor.name for tensor in model.graph.initializer}
    linear = [
        node.name for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in constants
    ]
    quantize_static(
        str(ready),
        str(work.output),
        Rows(work.rows),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        nodes_to_quantize=linear,
        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
    )


if __name__ == "__main__":
    todo = read_work(__doc__, ("dynamic", "static", "tuned"))
    with reporting(), tempfile.TemporaryDirectory() as scratch:
        (quantize_tuned if todo.artifact == "tuned" else quantize_by_default)(todo, Path(scratch))
