"""What is executed: names, shapes, counts and shares are those of the run."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from quantkit.errors import ArtifactError, EvaluationError
from quantkit.graph.kernels import LINEAR_KERNELS, trace_execution

CONFIG = {"vocab_size": 12, "max_position_embeddings": 20, "pad_token_id": 0}


def save(folder: Path, body: str, *, names: bool = True, fill: float = 1.0) -> Path:
    """Write a model whose linear nodes are named after their output."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (int64[b, s] input_ids, int64[b, s] attention_mask)'
        f" => (float[b, s, k] logits) {{ x = Gather (words, input_ids) {body} }}"
    )
    for node in model.graph.node:
        node.name = node.output[0] if names else ""
    random = np.random.default_rng(0)
    weights = {
        "words": random.normal(size=(12, 8)).astype(np.float32) * fill,
        "a": random.normal(size=(8, 6)).astype(np.float32),
        "c": random.normal(size=(6, 2)).astype(np.float32),
        "a8": random.integers(-9, 9, (8, 6)).astype(np.int8),
    }
    for name, array in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def test_layers_and_macs(tmp_path: Path) -> None:
    """Each layer is there with its shape, and rows x inputs x outputs multiply-accumulates."""
    path = save(tmp_path, "h = MatMul (x, a) t = Tanh (h) logits = MatMul (t, c)")
    execution = trace_execution(path, outputs=("logits",), config=CONFIG)
    # 20 positions, less one for the padding id that RoBERTa counts from.
    assert execution.tokens == 19
    assert [(layer.name, layer.shape, layer.macs) for layer in execution.layers] == [
        ("h", (8, 6), 19 * 48),
        ("logits", (6, 2), 19 * 12),
    ]
    assert {layer.kernel for layer in execution.layers} == {"MatMul"}
    assert execution.int8_coverage == 0.0
    assert execution.kernels == {"Gather": 1, "MatMul": 2, "Tanh": 1}


def test_share_by_macs(tmp_path: Path) -> None:
    """Coverage is the share of multiply-accumulates, not of layers."""
    body = """q, s, z = DynamicQuantizeLinear (x) i = MatMulInteger (q, a8, z) f = Cast <to = 1> (i)
        h = Mul (f, s) logits = MatMul (h, c)"""
    execution = trace_execution(save(tmp_path, body), outputs=("logits",), config=CONFIG)
    assert [layer.integer for layer in execution.layers] == [True, False]
    assert execution.int8_coverage == pytest.approx(48 / 60)


def test_products_of_activations_are_no_layers(tmp_path: Path) -> None:
    """A MatMul without a constant weight is a kernel, but not a linear layer."""
    body = "t = Transpose <perm = [0, 2, 1]> (x) p = MatMul (x, t) r = MatMul (p, x) logits = MatMul (r, a)"
    execution = trace_execution(save(tmp_path, body), outputs=("logits",), config=CONFIG)
    assert [layer.name for layer in execution.layers] == ["logits"]
    assert sum(count for name, count in execution.kernels.items() if "MatMul" in name) == 3


def test_layer_without_a_name(tmp_path: Path) -> None:
    """Nodes that cannot be told apart in the trace are refused rather than left out of the share."""
    path = save(tmp_path, "h = MatMul (x, a) logits = MatMul (h, c)", names=False)
    with pytest.raises(ArtifactError, match="has the name ''"):
        trace_execution(path, outputs=("logits",), config=CONFIG)


def test_no_linear_layer(tmp_path: Path) -> None:
    """A model without any is no encoder."""
    with pytest.raises(ArtifactError, match="executes no linear layer"):
        trace_execution(save(tmp_path, "logits = Tanh (x)"), outputs=("logits",), config=CONFIG)


def test_nan_output(tmp_path: Path) -> None:
    """NaN or infinite logits of the traced run are an error that names the output."""
    path = save(tmp_path, "h = MatMul (x, a) logits = MatMul (h, c)", fill=np.inf)
    with pytest.raises(EvaluationError, match="logits holds NaN or Infinity"):
        trace_execution(path, outputs=("logits",), config=CONFIG)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Tracing writes nothing beside the model."""
    path = save(tmp_path, "logits = MatMul (x, a)")
    trace_execution(path, outputs=("logits",), config=CONFIG)
    assert [path] == list(tmp_path.iterdir())


def test_block_wise_weights_are_float() -> None:
    """MatMulNBits and everything without an integer product does not count."""
    integer = {name for name, kernel in LINEAR_KERNELS.items() if kernel.integer}
    assert integer == {
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "QAttention",
        "QLinearMatMul",
        "QGemm",
    }
