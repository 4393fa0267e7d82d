"""Artifacts of models of two products, made in a moment: a text classifier, and one that answers questions."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from quantkit.artifact import Artifact, StageRecord, new_artifact

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "who", "wrote", "it", "ann", "?", ".")
CONFIG = {
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "type_vocab_size": 2,
    "max_position_embeddings": 512,
}
LABELS = {"id2label": {"0": "good", "1": "bad"}}
_HEAD = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask)
"""
_CLASSIFIER = """
  => (float[batch, labels] logits)
{
    embedded = Gather (table, input_ids)
    pooled = ReduceSum <keepdims = 0> (embedded, axes)
    logits = MatMul (pooled, classifier.weight)
}
"""
_ANSWERS = """
  => (float[batch, sequence] start_logits, float[batch, sequence] end_logits)
{
    embedded = Gather (table, input_ids)
    logits = MatMul (embedded, classifier.weight)
    start_part, end_part = Split <axis = 2> (logits)
    start_logits = Squeeze (start_part, axes)
    end_logits = Squeeze (end_part, axes)
}
"""
TASKS = {"text-classification": (_CLASSIFIER, 1), "squad": (_ANSWERS, 2)}
TEXTS = '{"id": "1", "text": "good good", "label": "good"}\n{"id": "2", "text": "bad", "label": "bad"}\n'
QUESTIONS = json.dumps(
    {
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": "ann wrote it.",
                        "qas": [{"id": "a", "question": "who wrote it?", "answers": [{"text": "ann"}]}],
                    }
                ],
            }
        ]
    }
)


def tiny_graph(task: str, *, labels: int = 2) -> onnx.ModelProto:
    """Return the graph for a task; its one product is called `classifier`."""
    text, axis = TASKS[task]
    model = onnx.parser.parse_model(_HEAD + text.replace("classifier.weight", "weight"))
    table = np.random.default_rng(0).normal(size=(len(WORDS), 2)).astype(np.float32)
    table[WORDS.index("good")], table[WORDS.index("bad")] = (3, 0), (0, 3)
    weight = np.eye(2, labels, dtype=np.float32)
    for name, array in {"table": table, "weight": weight, "axes": np.array([axis], np.int64)}.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    next(node for node in model.graph.node if node.op_type == "MatMul").name = "classifier"
    return model


def save_tiny(
    path: Path,
    *,
    task: str = "text-classification",
    model: onnx.ModelProto | bytes | None = None,
    config: Mapping[str, Any] | str | None = None,
    stages: tuple[StageRecord, ...] = (),
    change: Callable[[Path], object] = lambda folder: None,
) -> Artifact:
    """Save an artifact whose manifest fits its files, whatever is in them.

    Args:
        path: the folder.
        task: what it is for.
        model: another graph, or the bytes of model.onnx.
        config: what config.json says besides or instead; text is written as it is.
        stages: of the manifest.
        change: done to the folder before its files are hashed.
    """
    graph = tiny_graph(task) if model is None else model
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    with new_artifact(path) as draft:
        draft.model_path.write_bytes(content)
        (draft.path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
        said = {**CONFIG, **(LABELS if task == "text-classification" else {})}
        text = config if isinstance(config, str) else json.dumps(said | dict(config or {}))
        (draft.path / "config.json").write_text(text, encoding="utf-8")
        change(draft.path)
        draft.record(task=task, architecture="bert", precision="fp32", stages=stages, parent=None)
    return Artifact.open(path)
