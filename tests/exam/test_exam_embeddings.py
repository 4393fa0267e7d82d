"""The exam of an embedding model: what a search goes by is the direction of each text's embedding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

from quantkit.artifact import Artifact, new_artifact
from quantkit.exam.exam import Exam, Sitting
from quantkit.exam.marks import Marks
from quantkit.metrics.embeddings import cosine
from quantkit.tasks import Dataset, task

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
HIDDEN = 6
GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask,
      int64[batch, sequence] token_type_ids) => (float[batch, 6] sentence_embedding)
{
    words = Gather (table, input_ids)
    mask = Cast <to = 1> (attention_mask)
    wide = Unsqueeze (mask, axes)
    counted = Mul (words, wide)
    sentence_embedding = ReduceSum <keepdims = 0> (counted, one)
}
"""
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), HIDDEN)).astype(np.float32)
PAIRS = [("a b", "a c"), ("d", "e f"), ("g h", "g"), ("b c d", "h"), ("e", "e a")]
Rows = list[dict[str, Any]]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str, np.ndarray], Artifact]:
    """Return what makes an encoder: an embedding is the sum of a row for each word."""

    def write(name: str, table: np.ndarray) -> Artifact:
        model = onnx.parser.parse_model(GRAPH)
        arrays = {"table": table.astype(np.float32), "axes": np.array([2]), "one": np.array([1])}
        for label, array in arrays.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, label))
        with new_artifact(tmp_path / name) as draft:
            onnx.save(model, draft.model_path)
            (draft.path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
            (draft.path / "config.json").write_text(
                json.dumps({"model_type": "bert", "vocab_size": len(WORDS)})
            )
            draft.record(
                task="sentence-similarity", architecture="bert", precision="fp32", stages=(), parent=None
            )
        return Artifact.open(tmp_path / name)

    return write


@pytest.fixture(params=["scores", "pairs", "texts"])
def asked(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    """Return the same texts as pairs with scores, as pairs without, and alone."""
    rows: Rows = [{"sentence1": one, "sentence2": other, "score": 5 - len(other)} for one, other in PAIRS]
    if request.param == "pairs":
        rows = [{"sentence1": one, "sentence2": other} for one, other in PAIRS]
    if request.param == "texts":
        rows = [{"text": text} for pair in PAIRS for text in pair]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return task("sentence-similarity").read(path, request.param)


def embedded(table: np.ndarray) -> list[np.ndarray]:
    """Return the embedding of each text, computed here: [CLS], words, [SEP]."""
    return [
        table[[2, *(WORDS.index(word) for word in text.split()), 3]].sum(axis=0)
        for pair in PAIRS
        for text in pair
    ]


def sat(make: Callable[..., Artifact], asked: Dataset, table: np.ndarray) -> Marks:
    exam = Exam(make("fp32", TABLE), asked, Sitting(label="test", judged=False), confidence=0.95)
    return exam.sit(exam.open(make("other", table).model_path))


def test_damage_is_the_mean_angle(make: Callable[..., Artifact], asked: Dataset) -> None:
    """1 - cosine of each text's embedding to FP32's, a mean over texts, whatever the file says of scores."""
    other = TABLE + 0.1 * np.random.default_rng(1).normal(size=TABLE.shape).astype(np.float32)
    expected = np.mean([1 - cosine(*pair) for pair in zip(embedded(TABLE), embedded(other), strict=True)])
    # Sums of four float32 in another order.
    assert sat(make, asked, other).divergence == pytest.approx(expected, abs=1e-6)


def test_length_is_no_damage(make: Callable[..., Artifact], asked: Dataset) -> None:
    """Embeddings twice as long are the same embeddings."""
    marks = sat(make, asked, 2 * TABLE)
    assert marks.divergence == pytest.approx(0, abs=1e-9)  # float32 products
    assert marks.expected_ratio == pytest.approx(1, abs=1e-9)


def test_other_channels_are_damage(make: Callable[..., Artifact], asked: Dataset) -> None:
    """Channels in another order keep every pair's cosine, and a search is not content with that."""
    assert sat(make, asked, TABLE[:, ::-1].copy()).divergence > 0.2


def test_without_scores_the_target_is_the_cosine(make: Callable[..., Artifact], asked: Dataset) -> None:
    """What nobody scored is kept as far as embeddings keep their direction; a search never takes it for granted."""
    other = TABLE + 0.3 * np.random.default_rng(2).normal(size=TABLE.shape).astype(np.float32)
    if asked.name == "scores":
        return
    marks = sat(make, asked, other)
    assert 0 <= marks.expected_ratio_low < marks.expected_ratio < 1
    assert marks.expected_ratio == pytest.approx(1 - marks.divergence, abs=1e-6)
    assert (marks.ratio, marks.changed) == (1.0, 0.0)
