"""The real checkpoint: what fuses, and that logits stay what they were."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.graph.fusion.contract import fuse_graph, fused_counts
from quantkit.graph.parity import MASKS, padding_mask

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore")]

COUNTS = {"EmbedLayerNormalization": 1, "MultiHeadAttention": 6, "SkipLayerNormalization": 12, "BiasGelu": 6}


def test_minilm(shared: Path, tmp_path: Path) -> None:
    """MiniLM fuses whole, and its logits hold for every kind of mask."""
    from quantkit.tracing import Signature, trace_model

    model = transformers.AutoModelForQuestionAnswering.from_pretrained(
        shared / "models" / "minilm-l6-squad", attn_implementation="eager", dtype=torch.float32
    ).eval()
    signature = Signature(
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        outputs=("start_logits", "end_logits"),
        per_token=True,
    )
    graph = trace_model(model, signature, opset=17, max_positions=512)
    ir.save(graph, tmp_path / "plain.onnx")
    results = fuse_graph(graph)
    ir.save(graph, tmp_path / "fused.onnx")
    assert fused_counts(results) == COUNTS
    assert [miss for result in results for miss in result.missed] == []
    plain, fused = (
        onnxruntime.InferenceSession(tmp_path / name, providers=["CPUExecutionProvider"])
        for name in ("plain.onnx", "fused.onnx")
    )
    tokens = np.random.default_rng(0).integers(1000, 30000, (2, 48))
    for kind in MASKS:
        mask = padding_mask(kind, 2, 48)
        feeds = {"input_ids": tokens * mask, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}
        for expected, actual in zip(plain.run(None, feeds), fused.run(None, feeds), strict=True):
            np.testing.assert_allclose(actual[mask == 1], expected[mask == 1], rtol=0, atol=5e-5)
