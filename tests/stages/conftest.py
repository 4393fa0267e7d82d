"""A tiny question-answering artifact and a tiny SQuAD-format file, both built in code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import helper, numpy_helper

from quantkit.artifact import Artifact, StageRecord, new_artifact

SENTENCE = "who what wrote sent the a long short letter book price is was ann bob carl 42 7 euros cents"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *SENTENCE.split(), ",", ".", "?", "on", "in"]
GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask,
      int64[batch, sequence] token_type_ids)
  => (float[batch, sequence] start_logits, float[batch, sequence] end_logits)
{
    embedded = Gather (table, input_ids)
    logits = MatMul (embedded, head)
    start_part, end_part = Split <axis = 2> (logits)
    start_logits = Squeeze (start_part, axes)
    end_logits = Squeeze (end_part, axes)
}
"""


@pytest.fixture
def make_span_artifact(tmp_path: Path) -> Callable[..., Artifact]:
    """Return a function that makes an artifact whose logits are one table lookup and one product."""

    def make(name: str = "artifact", *, seed: int = 0, fill: float | None = None, words: int = 0) -> Artifact:
        random = np.random.default_rng(seed)
        table = random.normal(size=(len(WORDS), 8)).astype(np.float32)
        if fill is not None:
            table[:] = fill
        model = onnx.parser.parse_model(GRAPH)
        weights = {
            "table": table,
            "head": random.normal(size=(8, 2)).astype(np.float32),
            "axes": np.array([2], np.int64),
        }
        for label, array in weights.items():
            model.graph.initializer.append(numpy_helper.from_array(array, label))
        with new_artifact(tmp_path / name) as draft:
            onnx.save(model, draft.model_path)
            (draft.path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
            config = {"model_type": "bert", "vocab_size": words or len(WORDS), "type_vocab_size": 2}
            (draft.path / "config.json").write_text(json.dumps(config), encoding="utf-8")
            draft.record(task="squad", architecture="bert", precision="fp32", stages=(), parent=None)
        return Artifact.open(tmp_path / name)

    return make


@pytest.fixture
def span_questions(tmp_path: Path) -> Path:
    """Return a SQuAD-format file of 2 articles with 3 questions each."""
    texts = {
        "Letters": "Ann wrote the long letter on Monday. Bob sent a short letter in a book, on Friday.",
        "Prices": "The price was 42 euros, 7 cents. Carl wrote the book.",
    }
    questions = {
        "Letters": [
            ("Who wrote the letter?", "Ann"),
            ("Who sent?", "Bob"),
            ("What was long?", "the long letter"),
        ],
        "Prices": [
            ("What was the price?", "42 euros"),
            ("Who wrote the book?", "Carl"),
            ("What?", "7 cents"),
        ],
    }
    articles: list[dict[str, Any]] = []
    for title, text in texts.items():
        qas = [
            {
                "id": f"{title}-{number}",
                "question": question,
                "answers": [{"text": gold, "answer_start": text.lower().index(gold.lower())}],
            }
            for number, (question, gold) in enumerate(questions[title])
        ]
        articles.append({"title": title, "paragraphs": [{"context": text, "qas": qas}]})
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


HIDDEN = 64
FILLERS = 1500
LAYER = "bert.encoder.layer.0"
# Linear layers of the encoder, by name: (inputs, outputs).
ENCODER_LAYERS = {
    f"{LAYER}.attention.self.query": (HIDDEN, HIDDEN),
    f"{LAYER}.attention.self.key": (HIDDEN, HIDDEN),
    f"{LAYER}.attention.self.value": (HIDDEN, HIDDEN),
    f"{LAYER}.attention.output.dense": (HIDDEN, HIDDEN),
    f"{LAYER}.intermediate.dense": (HIDDEN, 2 * HIDDEN),
    f"{LAYER}.output.dense": (2 * HIDDEN, HIDDEN),
    "qa_outputs": (HIDDEN, 2),
}
ENCODER_FUSIONS = {
    "EmbedLayerNormalization": 1,
    "MultiHeadAttention": 1,
    "SkipLayerNormalization": 2,
    "BiasGelu": 1,
}


@pytest.fixture
def make_encoder_artifact(tmp_path: Path) -> Callable[..., Artifact]:
    """Return a function that makes a fused BERT of one layer, as export and fuse leave it."""

    def make(name: str = "fused", *, nan: str | None = None, external: bool = False) -> Artifact:
        weights = _encoder_weights()
        if nan is not None:
            weights[nan][0] = np.nan
        model = _encoder(weights)
        words = [*WORDS, *(f"filler{number}" for number in range(FILLERS))]
        config = {
            "model_type": "bert",
            "vocab_size": len(words),
            "type_vocab_size": 2,
            "max_position_embeddings": 384,
            "pad_token_id": 0,
        }
        with new_artifact(tmp_path / name) as draft:
            onnx.save_model(
                model,
                draft.model_path,
                save_as_external_data=external,
                location="model.onnx.data",
            )
            (draft.path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
            (draft.path / "config.json").write_text(json.dumps(config), encoding="utf-8")
            facts = {"fused": ENCODER_FUSIONS, "expected": ENCODER_FUSIONS}
            stages = (
                StageRecord(stage="export", key="0" * 64, facts={"parameters": _count(weights)}),
                StageRecord(stage="fuse", key="1" * 64, facts=facts),
            )
            draft.record(task="squad", architecture="bert", precision="fp32", stages=stages, parent=None)
        return Artifact.open(tmp_path / name)

    return make


def _count(weights: dict[str, np.ndarray]) -> int:
    return sum(array.size for array in weights.values() if array.dtype == np.float32)


def _encoder_weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (len(WORDS) + FILLERS, HIDDEN),
        "bert.embeddings.position_embeddings.weight": (384, HIDDEN),
        "bert.embeddings.token_type_embeddings.weight": (2, HIDDEN),
        f"{LAYER}.attention.self.bias": (3 * HIDDEN,),
    }
    for name, shape in ENCODER_LAYERS.items():
        shapes[f"{name}.weight"] = shape
        if "self" not in name:
            shapes[f"{name}.bias"] = shape[1:]
    for name in ("bert.embeddings", f"{LAYER}.attention.output", f"{LAYER}.output"):
        shapes |= {f"{name}.LayerNorm.weight": (HIDDEN,), f"{name}.LayerNorm.bias": (HIDDEN,)}
    weights: dict[str, np.ndarray] = {
        name: (random.normal(size=shape) / (8 if len(shape) == 2 else 4)).astype(np.float32)
        for name, shape in shapes.items()
    }
    return {**weights, "axes": np.array([2], np.int64)}


def _encoder(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    def contrib(kind: str, inputs: list[str], outputs: list[str], name: str, **how: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, outputs, name=name, domain="com.microsoft", **how)

    def norm(name: str, *inputs: str) -> onnx.NodeProto:
        weights = [f"{name}.LayerNorm.{part}" for part in scale]
        kind = "SkipLayerNormalization"
        return contrib(
            kind, [*inputs[:2], *weights, *inputs[2:]], [f"{name}.y"], f"{name}.LayerNorm", epsilon=1e-12
        )

    def linear(name: str, source: str) -> onnx.NodeProto:
        return helper.make_node("MatMul", [source, f"{name}.weight"], [f"{name}.y"], name=name)

    embeddings, attention, scale = "bert.embeddings", f"{LAYER}.attention", ("weight", "bias")
    tables = [f"{embeddings}.{part}_embeddings.weight" for part in ("word", "position", "token_type")]
    inner = [f"{attention}.self.{part}" for part in ("query", "key", "value")]
    nodes = [
        *(
            helper.make_node("Cast", [source], [f"{source}.i32"], name=f"{source}.cast", to=6)
            for source in ("input_ids", "token_type_ids", "attention_mask")
        ),
        contrib(
            "EmbedLayerNormalization",
            [
                "input_ids.i32",
                "token_type_ids.i32",
                *tables,
                *(f"{embeddings}.LayerNorm.{part}" for part in scale),
            ],
            ["x", "mask_index"],
            embeddings,
            epsilon=1e-12,
        ),
        *(linear(name, "x") for name in inner),
        contrib(
            "MultiHeadAttention",
            [*(f"{name}.y" for name in inner), f"{attention}.self.bias", "attention_mask.i32"],
            ["mixed"],
            f"{attention}.self",
            num_heads=4,
        ),
        linear(f"{attention}.output.dense", "mixed"),
        norm(f"{attention}.output", f"{attention}.output.dense.y", "x", f"{attention}.output.dense.bias"),
        linear(f"{LAYER}.intermediate.dense", f"{attention}.output.y"),
        contrib(
            "BiasGelu",
            [f"{LAYER}.intermediate.dense.y", f"{LAYER}.intermediate.dense.bias"],
            ["active"],
            "gelu",
        ),
        linear(f"{LAYER}.output.dense", "active"),
        norm(
            f"{LAYER}.output",
            f"{LAYER}.output.dense.y",
            f"{attention}.output.y",
            f"{LAYER}.output.dense.bias",
        ),
        linear("qa_outputs", f"{LAYER}.output.y"),
        helper.make_node("Add", ["qa_outputs.y", "qa_outputs.bias"], ["logits"], name="add"),
        helper.make_node("Split", ["logits"], ["start_part", "end_part"], name="split", axis=2),
        helper.make_node("Squeeze", ["start_part", "axes"], ["start_logits"], name="squeeze_start"),
        helper.make_node("Squeeze", ["end_part", "axes"], ["end_logits"], name="squeeze_end"),
    ]
    shape = ["batch", "sequence"]
    inputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    outputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in ("start_logits", "end_logits")
    ]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(nodes, "encoder", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
