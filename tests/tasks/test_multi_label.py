"""Multi-label classification: every form of labels, answers, scores."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.errors import DatasetError, EvaluationError
from quantkit.tasks import WindowSettings, task
from quantkit.tasks.tokenizer import Tokenizer

TASK = task("multi-label-classification")
SETTINGS = WindowSettings()
RIGHT = [{0, 2}, set(), {1}]


def write(folder: Path, rows: list[dict[str, Any]], name: str = "texts.jsonl") -> Path:
    """Write rows as JSON Lines."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def tokenizer(wordpiece_folder: Path, tmp_path: Path) -> Tokenizer:
    """Return the tiny WordPiece tokenizer of a model with three labels."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(wordpiece_folder, folder)
    names = {"0": "joy", "1": "anger", "2": "love"}
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "id2label": names}))
    return Tokenizer.load(folder)


def right_of(path: Path, tokenizer: Tokenizer) -> list[set[int] | None]:
    """Return the right labels as the model's rows have them."""
    dataset = TASK.read(path, "texts")
    windows = TASK.cut(dataset, tokenizer, SETTINGS)
    return [None if not found else set(found[0]) for found in TASK.right(dataset, windows)]


@pytest.mark.parametrize(
    "cells",
    [
        [["joy", "love"], [], ["anger"]],
        [[0, 2], [], [1]],
        ["joy|love", "", "anger"],
        ["joy; love", "", "anger"],
        ["joy,love", "", "anger"],
        ["0,2", "", "1"],
        ['["joy", "love"]', "[]", '["anger"]'],
        ["['joy', 'love']", "[]", "['anger']"],
        [[1, 0, 1], [0, 0, 0], [0, 1, 0]],
        [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        ["[1, 0, 1]", "[0, 0, 0]", "[0, 1, 0]"],
        [["love", "joy"], [], "anger"],
    ],
)
def test_every_form_of_labels_is_the_same(tmp_path: Path, tokenizer: Tokenizer, cells: list[Any]) -> None:
    """Names, indices, separated text, lists as text, 0 and 1 for every label."""
    rows = [{"text": f"who {at}", "labels": cell} for at, cell in enumerate(cells)]
    assert right_of(write(tmp_path, rows), tokenizer) == RIGHT


@pytest.mark.parametrize("flags", [(0, 1), (False, True), ("0", "1"), (0.0, 1.0)])
def test_columns_of_0_and_1(tmp_path: Path, tokenizer: Tokenizer, flags: tuple[Any, Any]) -> None:
    """Columns called as the model's labels, in any order; other such columns are ignored."""
    rows = [
        {
            "text": "who",
            "id": str(at),
            "love": flags[2 in labels],
            "seen": flags[0],
            "joy": flags[0 in labels],
            "anger": flags[1 in labels],
        }
        for at, labels in enumerate(RIGHT)
    ]
    assert right_of(write(tmp_path, rows), tokenizer) == RIGHT
    short = [{name: value for name, value in row.items() if name != "joy"} for row in rows]
    with pytest.raises(DatasetError, match="has no column of 0 and 1 for the model's label 'joy'"):
        right_of(write(tmp_path, short, "short.jsonl"), tokenizer)


def test_columns_for_a_model_without_names(tmp_path: Path, wordpiece_folder: Path) -> None:
    """They are the labels in their order."""
    rows = [{"text": "who", "a": 1, "b": 0}, {"text": "wrote", "a": 1, "b": 1}]
    assert right_of(write(tmp_path, rows), Tokenizer.load(wordpiece_folder)) == [{0}, {0, 1}]


def test_a_file_without_labels_is_for_calibration(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """It is read and cut, and cannot be scored."""
    dataset = TASK.read(write(tmp_path, [{"text": "who", "seen": 1}]), "texts")
    windows = TASK.cut(dataset, tokenizer, SETTINGS)
    assert TASK.right(dataset, windows) == [()]
    with pytest.raises(DatasetError, match="has no labels, so there is nothing to score"):
        TASK.predict(dataset, windows, [(np.zeros(3, np.float32),)], SETTINGS)


def test_answers_and_scores(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Labels with a logit above 0; F1 of the set, 1 where both are empty; exact where all are right."""
    rows = [{"id": str(at), "text": "who", "labels": sorted(labels)} for at, labels in enumerate(RIGHT)]
    dataset = TASK.read(write(tmp_path, rows), "texts")
    windows = TASK.cut(dataset, tokenizer, SETTINGS)
    outputs = [(np.array(logits, np.float32),) for logits in ([3, -1, -0.5], [-1, -1, 0], [-9, 9, -9])]
    found = TASK.predict(dataset, windows, outputs, SETTINGS)
    expected = [("joy", 0.0, 2 / 3), ("", 1.0, 1.0), ("anger", 1.0, 1.0)]
    assert [(row.answer, row.exact_match, row.f1) for row in found] == expected
    scores = TASK.expected_scores(dataset, windows, outputs, SETTINGS)
    # No label of three, of chances 0.27, 0.27 and 0.5.
    assert scores[1] == pytest.approx((1 / (1 + np.exp(-1.0))) ** 2 / 2, rel=1e-6)
    assert scores[2] > 0.999
    with pytest.raises(EvaluationError, match="the model gives 2 numbers for 0, and its labels are 3"):
        TASK.predict(dataset, windows, [(row[:2],) for (row,) in outputs], SETTINGS)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"text": "x", "labels": {"joy": 1}}, r"line 1: labels is \{'joy': 1\}, no list of labels"),
        ({"text": "x", "labels": None}, "line 1: labels is None, no list of labels"),
        ({"text": "x", "labels": ["joy", None]}, "line 1: labels has None, not a label"),
        ({"text": "x", "labels": "[joy"}, "line 1: labels is '\\[joy', no list of labels"),
        ({"text": "x", "labels": "[" * 9000}, "line 1: labels is .*, no list of labels"),
        ({"text": 3, "labels": []}, "line 1: text is 3, not text"),
        ({"labels": "joy"}, "no column is the text"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, row: dict[str, Any], line: str) -> None:
    """The file, its line, and what to do."""
    path = write(tmp_path, [row])
    with pytest.raises(DatasetError, match=line) as caught:
        TASK.read(path, "texts")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_label_the_model_lacks_is_an_error(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """As in text classification."""
    path = write(tmp_path, [{"id": "1", "text": "x", "labels": ["joi"]}])
    with pytest.raises(DatasetError, match=r"1: the model has no label 'joi'; did you mean 'joy'\?"):
        right_of(path, tokenizer)
