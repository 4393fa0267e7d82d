"""What a model needs in the cache: all of its weights, and the widest layer's activations."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from quantkit.runtime.footprint import Footprint, footprint


def test_widest_layer(tmp_path: Path) -> None:
    """A layer from 8 to 32 features needs its inputs and outputs and two more of 8; the vocabulary does not count."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> tiny (int64[n] ids) => (float[n, 8] y)'
        "{ x = Gather (table, ids)  h = MatMul (x, up)  y = MatMul (h, down) }"
    )
    for name, shape in (("table", (5000, 8)), ("up", (8, 32)), ("down", (32, 8))):
        model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    found = footprint(path, 100)
    assert found == Footprint(weights=path.stat().st_size, activations=4 * 100 * (8 + 32 + 2 * 8))
    assert found.bytes == found.weights + found.activations


def test_external_weights_count(tmp_path: Path) -> None:
    """Weights in a file beside the graph are part of it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    (tmp_path / "model.onnx.data").write_bytes(bytes(1000))
    assert footprint(path, 100) == Footprint(weights=1008, activations=0)
