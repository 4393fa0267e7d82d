"""Tiny encoders written as ONNX text, and what runs them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.graph.kernels import Execution, trace_execution
from quantkit.graph.model import save_model
from quantkit.quantization.observe.statistics import Statistics

HIDDEN, VOCABULARY, POSITIONS = 32, 40, 48
CONFIG = {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS + 1, "pad_token_id": 0}
HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'
INPUTS = (
    "int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask, "
    "int64[batch, sequence] token_type_ids"
)


class Workbench:
    """Builds graphs, runs them and reads back what was executed."""

    hidden, vocabulary, config = HIDDEN, VOCABULARY, CONFIG

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
        """Return float32 noise."""
        return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)

    @staticmethod
    def build(
        body: str, weights: Mapping[str, np.ndarray], output: str = "float[batch, sequence, width] logits"
    ) -> ir.Model:
        """Return the model with these nodes; a layer is named by the weight it reads, less `_weight`."""
        proto = onnx.parser.parse_model(f"{HEADER} tiny ({INPUTS}) => ({output}) {{ {body} }}")
        for number, node in enumerate(proto.graph.node):
            node.name = f"{node.op_type}_{number}"
            if node.op_type in ("MatMul", "Gemm"):
                node.name = next((name for name in node.input if name in weights), node.name).removesuffix(
                    "_weight"
                )
        proto.graph.initializer.extend(
            onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()
        )
        return ir.from_proto(proto)

    def save(self, model: ir.Model, name: str = "model.onnx") -> Path:
        """Write a copy of the model."""
        path = self.folder / name
        save_model(model.clone(), path)
        return path

    def ids(self, rows: int = 2, tokens: int = 9) -> dict[str, np.ndarray]:
        """Return graph inputs."""
        ids = np.random.default_rng(1).integers(1, VOCABULARY, (rows, tokens))
        return {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": (np.arange(tokens) > 4).astype(np.int64) + np.zeros_like(ids),
        }

    def compute(self, model: ir.Model, *, optimize: bool = True) -> np.ndarray:
        """Return the first output for `ids`."""
        return self.feed(model, self.ids(), optimize=optimize)

    def feed(self, model: ir.Model, feeds: Mapping[str, np.ndarray], *, optimize: bool = True) -> np.ndarray:
        """Return the first output for these graph inputs."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if not optimize:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(self.save(model, "run.onnx"), options)
        found = session.run(None, {entry.name: feeds[entry.name] for entry in session.get_inputs()})
        return np.asarray(found[0])

    def trace(self, model: ir.Model, output: str = "logits") -> Execution:
        """Return what onnxruntime executes."""
        return trace_execution(self.save(model, "traced.onnx"), outputs=(output,), config=CONFIG)


@pytest.fixture(scope="session")
def statistics_of() -> Callable[[np.ndarray], Statistics]:
    """Return a function that makes the statistics of values, float32 [tokens, channels]."""

    def make(values: np.ndarray) -> Statistics:
        exact = values.astype(np.float64)
        return Statistics(
            low=values.min(axis=0),
            high=values.max(axis=0),
            mean=exact.mean(axis=0),
            square=np.square(exact).mean(axis=0),
            tokens=len(values),
            moment=(exact.T @ exact / len(values)).astype(np.float32),
            sample=values,
        )

    return make


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """Return the tools for tests of a rewrite."""
    return Workbench(tmp_path)


@pytest.fixture
def unfused(bench: Workbench) -> ir.Model:
    """Return attention as an exporter writes it: Reshape and Transpose split and merge heads, nothing is fused."""
    names = ("query", "key", "value", "output", "head")
    weights = {f"{name}_weight": bench.normal(32, 32, seed=n, scale=0.18) for n, name in enumerate(names)}
    weights |= {f"{name}_bias": bench.normal(32, seed=20 + n) for n, name in enumerate(names[:3])}
    weights |= {
        "head_weight": bench.normal(32, 2, seed=9),
        "words_weight": bench.normal(40, 32, seed=8),
        "split": np.array([0, 0, 4, 8], np.int64),
        "merge": np.array([0, 0, 32], np.int64),
        "scale": np.float32(8**-0.5),
    }
    # A channel that sticks out.
    weights["value_weight"][:, 5] *= 40
    heads = " ".join(
        f"""
        {name}_product = MatMul (x, {name}_weight) {name}_y = Add ({name}_bias, {name}_product)
        {name}_split = Reshape ({name}_y, split)
        {name}_heads = Transpose <perm = [{order}]> ({name}_split)
        """
        for name, order in zip(names[:3], ("0, 2, 1, 3", "0, 2, 3, 1", "0, 2, 1, 3"), strict=True)
    )
    body = f"""
        x = Gather (words_weight, input_ids) {heads}
        raw = MatMul (query_heads, key_heads) scores = Mul (raw, scale)
        probabilities = Softmax <axis = -1> (scores) each = MatMul (probabilities, value_heads)
        turned = Transpose <perm = [0, 2, 1, 3]> (each) mixed = Reshape (turned, merge)
        output_y = MatMul (mixed, output_weight) rest = Add (output_y, x)
        bent = Tanh (rest) logits = MatMul (bent, head_weight)
    """
    return bench.build(body, weights)
