"""What is executed: names, shapes, counts and shares are those of the run."""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from quantkit.errors import ArtifactError, EvaluationError
from quantkit.graph import kernels
from quantkit.graph.kernels import LINEAR_KERNELS, trace_execution

pytestmark = pytest.mark.avx2

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


def test_layers_without_names(tmp_path: Path) -> None:
    """Nodes that cannot be told apart in a trace get names for it; they count as those that have one."""
    body = "h = MatMul (x, a) logits = MatMul (h, c)"
    found = trace_execution(save(tmp_path, body, names=False), outputs=("logits",), config=CONFIG)
    assert [(layer.shape, layer.macs) for layer in found.layers] == [((8, 6), 19 * 48), ((6, 2), 19 * 12)]
    assert found.kernels == {"Gather": 1, "MatMul": 2}


def test_weight_that_a_run_unpacks(tmp_path: Path) -> None:
    """A layer whose 8-bit weight is unpacked and multiplied in float counts, as float."""
    body = """one = Constant <value_float = 1.0> () t = Transpose <perm = [1, 0]> (a8) u = DequantizeLinear (t, one)
        w = Transpose <perm = [1, 0]> (u) h = MatMul (x, w) logits = MatMul (h, c)"""
    found = trace_execution(save(tmp_path, body), outputs=("logits",), config=CONFIG)
    assert found.kernels["DequantizeLinear"] == 1
    assert [(layer.shape, layer.integer) for layer in found.layers] == [((8, 6), False), ((6, 2), False)]
    assert found.int8_coverage == 0.0


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


def test_kernels_that_are_always_integer() -> None:
    """MatMulNBits and everything without an integer product are not among them."""
    integer = {name for name, kernel in LINEAR_KERNELS.items() if kernel.integer}
    assert integer == {
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "QAttention",
        "QLinearMatMul",
        "QGemm",
    }


def block_wise(folder: Path, **attributes: int) -> Path:
    """Write a model of one MatMulNBits layer with blocks of 16 inputs."""
    path = save(folder, "logits = MatMul (x, a)")
    model = onnx.load(path)
    levels = np.random.default_rng(0).integers(0, 256, (6, 1, 16)).astype(np.uint8)
    model.graph.initializer.append(numpy_helper.from_array(levels, "levels"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((6, 1), np.float32), "scales"))
    how = {"K": 8, "N": 6, "bits": 8, "block_size": 16, **attributes}
    node = onnx.helper.make_node(
        "MatMulNBits", ["x", "levels", "scales"], ["logits"], domain="com.microsoft", name="logits", **how
    )
    model.graph.node[-1].CopyFrom(node)
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("attributes", [{}, {"accuracy_level": 0}, {"accuracy_level": 1}])
def test_block_wise_in_float(tmp_path: Path, attributes: dict[str, int]) -> None:
    """MatMulNBits of any other accuracy level than 4 computes in float and counts so, whatever a probe says."""
    execution = trace_execution(block_wise(tmp_path, **attributes), outputs=("logits",), config=CONFIG)
    assert [(layer.kernel, layer.integer) for layer in execution.layers] == [("MatMulNBits", False)]


@pytest.mark.parametrize("rounded", [False, True])
def test_block_wise_is_what_the_probe_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounded: bool
) -> None:
    """With accuracy level 4 the probe of the same block size decides."""
    asked: list[tuple[int, bool]] = []

    def probe(block_size: int, *, zero_points: bool) -> bool:
        asked.append((block_size, zero_points))
        return rounded

    monkeypatch.setattr(kernels, "multiplies_integers", probe)
    execution = trace_execution(block_wise(tmp_path, accuracy_level=4), outputs=("logits",), config=CONFIG)
    assert [layer.integer for layer in execution.layers] == [rounded]
    assert asked == [(16, False)]
