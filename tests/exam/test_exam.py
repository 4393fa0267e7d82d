"""Exam: how a quantized model's answers compare to FP32's, on any task."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

from quantkit.artifact import Artifact, new_artifact
from quantkit.errors import DatasetError, EvaluationError
from quantkit.exam.exam import Exam, Sitting
from quantkit.tasks import Dataset, task

pytestmark = pytest.mark.avx2

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "dull"]
GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask,
      int64[batch, sequence] token_type_ids) => (float[batch, 2] logits)
{
    words = Gather (table, input_ids)
    mask = Cast <to = 1> (attention_mask)
    wide = Unsqueeze (mask, axes)
    counted = Mul (words, wide)
    logits = ReduceSum <keepdims = 0> (counted, one)
}
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Artifact]:
    """Return what makes a classifier: logits are sums of a row a word, (bad, good)."""

    def write(name: str, **rows: tuple[float, float]) -> Artifact:
        table = np.zeros((len(WORDS), 2), np.float32)
        for word, row in {"good": (0, 2), "bad": (2, 0), "dull": (1, 0), **rows}.items():
            table[WORDS.index(word)] = row
        model = onnx.parser.parse_model(GRAPH)
        for label, array in {"table": table, "axes": np.array([2]), "one": np.array([1])}.items():
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, label))
        config = {"model_type": "bert", "vocab_size": len(WORDS), "id2label": {"0": "bad", "1": "good"}}
        with new_artifact(tmp_path / name) as draft:
            onnx.save(model, draft.model_path)
            (draft.path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
            (draft.path / "config.json").write_text(json.dumps(config))
            draft.record(
                task="text-classification", architecture="bert", precision="fp32", stages=(), parent=None
            )
        return Artifact.open(tmp_path / name)

    return write


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Dataset]:
    """Return what makes a dataset of texts with labels."""

    def write(*rows: tuple[str, str]) -> Dataset:
        lines = [
            json.dumps({"id": str(number), "text": text, "label": label})
            for number, (text, label) in enumerate(rows)
        ]
        path = tmp_path / "texts.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return task("text-classification").read(path, "texts")

    return write


ROWS = (("good good", "good"), ("bad", "bad"), ("dull", "bad"), ("dull", "good"))


def test_the_same_model_gets_full_marks(make: Callable[..., Artifact], texts: Callable[..., Dataset]) -> None:
    """FP32 against itself: no divergence, nothing changed, ratios of 1, whatever its own score."""
    artifact = make("fp32")
    exam = Exam(artifact, texts(*ROWS), Sitting(label="exam"), confidence=0.9)
    marks = exam.sit(exam.open(artifact.model_path))
    assert (exam.windows, exam.baseline) == (4, 75.0)
    assert (marks.divergence, marks.changed, marks.score, marks.ratio) == (0.0, 0.0, 75.0, 1.0)
    assert (marks.expected_ratio, marks.expected_ratio_low) == pytest.approx((1.0, 1.0), abs=1e-12)


def test_marks_by_hand(make: Callable[..., Artifact], texts: Callable[..., Dataset]) -> None:
    """One word read otherwise: its two answers change, one to right and one to wrong, and expected scores tell."""
    exam = Exam(make("fp32"), texts(*ROWS), Sitting(label="exam"), confidence=0.9)
    marks = exam.sit(exam.open(make("other", dull=(0, 1)).model_path))
    assert (marks.changed, marks.score, marks.ratio) == (0.5, 75.0, 1.0)
    sigma = 1 / (1 + np.exp(-1.0))
    # Two of four texts: from (sigma, 1 - sigma) to its reverse.
    assert marks.divergence == pytest.approx((2 * sigma - 1) / 2, rel=1e-6)
    # sigma and 1 - sigma change places, so their sum is the same; the bound knows they could have been others.
    assert marks.expected_ratio == pytest.approx(1.0, abs=1e-6)
    assert marks.expected_ratio_low < 0.9


def test_a_model_that_knows_nothing(make: Callable[..., Artifact], texts: Callable[..., Dataset]) -> None:
    """When FP32 answers nothing right there is nothing to keep."""
    with pytest.raises(DatasetError, match="FP32 answers none of the 1 questions right; choose"):
        Exam(make("fp32"), texts(("good", "bad")), Sitting(label="exam"), confidence=0.9)


def test_broken_logits(make: Callable[..., Artifact], texts: Callable[..., Dataset]) -> None:
    """NaN names the question and is no mark."""
    exam = Exam(make("fp32"), texts(*ROWS), Sitting(label="exam"), confidence=0.9)
    with pytest.raises(EvaluationError, match="NaN or Infinity for question 2"):
        exam.sit(exam.open(make("nan", dull=(np.nan, 0)).model_path))
