"""neural-compressor 3.7.1, default settings, on onnxruntime's fused graph as in its own examples."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from measured import Row, Work, read_work, reporting
from neural_compressor import PostTrainingQuantConfig, quantization
from onnxruntime.transformers.optimizer import optimize_model


class Loader:
    """Calibration rows as the library takes them: (inputs, label)."""

    batch_size = 1

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[tuple[Row, None]]:
        """Yield every row."""
        return ((row, None) for row in self._rows)


def quantize(work: Work, folder: Path) -> None:
    """Fuse and quantize; `fit` writes its history into the working folder."""
    os.chdir(folder)
    fused = folder / "fused.onnx"
    optimized = optimize_model(
        str(work.source), model_type="bert", num_heads=work.heads, hidden_size=work.hidden, opt_level=0
    )
    optimized.save_model_to_file(str(fused))
    config = PostTrainingQuantConfig(approach=work.artifact)
    loader = Loader(work.rows) if work.artifact == "static" else None
    quantized = quantization.fit(str(fused), config, calib_dataloader=loader)
    if quantized is None:
        raise SystemExit("neural-compressor: fit() returned None")
    quantized.save(str(work.output))


if __name__ == "__main__":
    todo = read_work(__doc__, ("dynamic", "static"))
    with reporting(), tempfile.TemporaryDirectory() as scratch:
        quantize(todo, Path(scratch))
