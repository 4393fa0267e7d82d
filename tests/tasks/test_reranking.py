"""Reranking: queries from rows, a window for each passage, scores of the order."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.errors import DatasetError
from quantkit.tasks import WindowSettings, task
from quantkit.tasks.tokenizer import Tokenizer

TASK = task("reranking")
SETTINGS = WindowSettings()
ROWS = [
    {"query": "who wrote", "passage": "the letter", "relevance": 0},
    {"query": "price", "passage": "is long", "relevance": 1},
    {"query": "who wrote", "passage": "who", "relevance": 2},
    {"query": "who wrote", "passage": "the price", "relevance": 1},
]


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_queries_and_scores(tmp_path: Path, wordpiece_folder: Path) -> None:
    """Rows of a query are put together; the order of its scores is judged, and the passage on top is the answer."""
    tokenizer = Tokenizer.load(wordpiece_folder)
    dataset = TASK.read(write(tmp_path, ROWS), "pairs")
    assert [question.passages for question in dataset.questions] == [
        ("the letter", "who", "the price"),
        ("is long",),
    ]
    windows = TASK.cut(dataset, tokenizer, SETTINGS)
    assert [window.question for window in windows] == [0, 0, 0, 1]
    query, passage = tokenizer.encode_ids(["who wrote", "the price"])
    assert windows[2].input_ids.tolist() == [2, *query, 3, *passage, 3]
    assert TASK.right(dataset, windows) == [((0.0,),), ((2.0,),), ((1.0,),), ((1.0,),)]
    outputs = [(np.array([score], np.float32),) for score in (0.5, 0.1, 0.9, -3.0)]
    first, second = TASK.predict(dataset, windows, outputs, SETTINGS)
    assert (first.answer, first.exact_match) == ("3", 1.0)
    # Passages 3, 1, 2 with the gains 1, 0, 2, over the order 2, 1, 0.
    assert first.f1 == pytest.approx((1 + 2 / math.log2(4)) / (2 + 1 / math.log2(3)), rel=1e-15)
    assert (second.answer, second.exact_match, second.f1) == ("1", 1.0, 1.0)
    expected = TASK.expected_scores(dataset, windows, outputs, SETTINGS)
    powers = np.exp([0.5, 0.1, 0.9])
    # Scores are float32.
    assert expected == pytest.approx([(2 * powers[1] + powers[2]) / powers.sum() / 2, 1.0], rel=1e-6)


def test_one_row_for_each_query(tmp_path: Path) -> None:
    """Lists of positive and negative passages are relevance 1 and 0."""
    dataset = TASK.read(
        write(tmp_path, [{"query": "who", "positive": ["a"], "negative": ["b", "c"], "query_id": 7}]), "pairs"
    )
    (question,) = dataset.questions
    assert (question.id, question.passages, question.relevance) == ("7", ("a", "b", "c"), (1.0, 0.0, 0.0))


def test_a_file_without_relevance_is_for_calibration(tmp_path: Path, wordpiece_folder: Path) -> None:
    """It is cut, and cannot be scored."""
    dataset = TASK.read(write(tmp_path, [{"query": "who", "passage": "wrote"}]), "pairs")
    windows = TASK.cut(dataset, Tokenizer.load(wordpiece_folder), SETTINGS)
    with pytest.raises(DatasetError, match="has no relevance, so there is nothing to score"):
        TASK.predict(dataset, windows, [(np.zeros(1, np.float32),)], SETTINGS)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([{"query": "a", "passage": 3}], "line 1: passage is 3, not text"),
        ([{"query": "a", "passage": "b", "relevance": -1}], "line 1: relevance is -1; give 0 or more"),
        ([{"query": "a", "passage": "b", "relevance": "x"}], "line 1: relevance is 'x', not a number"),
        ([{"query": "a", "positive": [], "negative": []}], "query '.*' has no passage"),
        (
            [{"qid": 1, "query": "a", "passage": "b"}, {"qid": 1, "query": "c", "passage": "b"}],
            "line 2: query '1' had another text before",
        ),
        ([{"query": "a"}], "no column is the passage"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, rows: list[dict[str, Any]], line: str) -> None:
    """The file, its line, and what to do."""
    path = write(tmp_path, rows)
    with pytest.raises(DatasetError, match=line) as caught:
        TASK.read(path, "pairs")
    assert str(caught.value).startswith(f"{path}: ")
