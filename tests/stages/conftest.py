"""A tiny question-answering artifact and a tiny SQuAD-format file, both built in code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from quantkit.artifact import Artifact, new_artifact

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
