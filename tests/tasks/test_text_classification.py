"""Text classification: reading, rows, labels, predictions."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import DatasetError, EvaluationError, UsageError
from quantkit.tasks import WindowSettings, task
from quantkit.tasks.texts import shorten
from quantkit.tasks.tokenizer import Tokenizer

TASK = task("text-classification")
LINES = [
    {"id": "1", "text": "the price is long", "label": "good"},
    {"id": "2", "text": "who wrote", "text_pair": "the letter", "label": 0, "group": "mail"},
]


def write(folder: Path, *rows: object) -> Path:
    """Write rows as JSON Lines; strings as they are."""
    path = folder / "texts.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


@pytest.fixture
def tokenizer(wordpiece_folder: Path, tmp_path: Path) -> Tokenizer:
    """Return the tiny WordPiece tokenizer of a model with two labels."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(wordpiece_folder, folder)
    (folder / "config.json").write_text('{"model_type": "bert", "id2label": {"0": "bad", "1": "good"}}')
    return Tokenizer.load(folder)


def test_one_line_is_one_prediction(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Single texts and pairs become rows; labels by name or index are compared with the highest logit."""
    dataset = TASK.read(write(tmp_path, *LINES, ""), "texts")
    windows = TASK.cut(dataset, tokenizer, WindowSettings())
    first, second = tokenizer.encode_ids(["who wrote", "the letter"])
    assert [2, *tokenizer.encode_ids(["the price is long"])[0], 3] == windows[0].input_ids.tolist()
    assert [2, *first, 3, *second, 3] == windows[1].input_ids.tolist()
    assert windows[1].token_type_ids.tolist() == [0, 0, 0, 0, 1, 1, 1]
    outputs = [(np.array([0.1, 0.2], np.float32),), (np.array([-1.0, 3.0], np.float32),)]
    predictions = TASK.predict(dataset, windows, outputs, WindowSettings())
    expected = [("1", "1", "good", 1.0, 1.0), ("2", "mail", "good", 0.0, 0.0)]
    assert [(row.id, row.group, row.answer, row.exact_match, row.f1) for row in predictions] == expected


def test_expected_scores_are_the_right_label_s_probabilities(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Softmax of the logits at the right label; 0 where the model has too few outputs for it."""
    dataset = TASK.read(write(tmp_path, *LINES), "texts")
    windows = TASK.cut(dataset, tokenizer, WindowSettings())
    outputs = [(np.log(np.array([1.0, 3.0])).astype(np.float32),), (np.array([-1.0, -1.0], np.float32),)]
    found = TASK.expected_scores(dataset, windows, outputs, WindowSettings())
    assert found == pytest.approx([0.75, 0.5], abs=1e-6)
    narrow = [(np.zeros(1, np.float32),), outputs[1]]
    assert TASK.expected_scores(dataset, windows, narrow, WindowSettings()) == pytest.approx([0.0, 0.5])
    with pytest.raises(EvaluationError, match="question 2: logits holds NaN"):
        TASK.expected_scores(dataset, windows, [outputs[0], (np.array([0, np.nan]),)], WindowSettings())


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([""], "is empty; give"),
        (["{"], "is not JSON \\(.*\\); give"),
        ([LINES[0], {"id": "2", "text": "x"}], "line 2: label is None, not a label; give"),
        ([{**LINES[0], "id": True}], "line 1: the id is True; give"),
        (
            [{"id": "1", "txet": "x"}],
            r"no column is the text; say 'FILE\?text=COLUMN&label=COLUMN' \(it has id, txet",
        ),
        ([LINES[0], LINES[0]], "line 2: id '1' was used before; give"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, rows: list[object], line: str) -> None:
    """Every kind of bad file is one line with the file, its line, and what to do."""
    path = write(tmp_path, *rows)
    with pytest.raises(DatasetError, match=line) as caught:
        TASK.read(path, "texts")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("label", "line"),
    [
        ("goood", "1: the model has no label 'goood'; did you mean 'good'?"),
        ("zzz", "1: the model has no label 'zzz'; it has bad, good"),
        (2, "1: the model has no label 2; give 0 to 1"),
        (-1, "1: the model has no label -1; give 0 to 1"),
    ],
)
def test_a_label_the_model_lacks_is_an_error(
    tmp_path: Path, tokenizer: Tokenizer, label: object, line: str
) -> None:
    """A label that could never be right is refused before anything is scored."""
    dataset = TASK.read(write(tmp_path, {**LINES[0], "label": label}), "texts")
    with pytest.raises(DatasetError, match=line.replace("?", r"\?")):
        TASK.cut(dataset, tokenizer, WindowSettings())


def test_labels_without_names_are_called_as_transformers_calls_them(
    wordpiece_folder: Path, tmp_path: Path
) -> None:
    """A config.json without id2label has LABEL_0, LABEL_1, ..."""
    dataset = TASK.read(write(tmp_path, {**LINES[0], "label": "LABEL_1"}), "texts")
    (window,) = TASK.cut(dataset, Tokenizer.load(wordpiece_folder), WindowSettings())
    assert window.label == 1


def test_logits_that_are_no_numbers_name_the_text(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """NaN or missing logits are errors with the text's id."""
    dataset = TASK.read(write(tmp_path, *LINES), "texts")
    windows = TASK.cut(dataset, tokenizer, WindowSettings())
    good = (np.zeros(2, np.float32),)
    with pytest.raises(EvaluationError, match="question 2: logits holds NaN"):
        TASK.predict(dataset, windows, [good, (np.array([0, np.nan]),)], WindowSettings())
    with pytest.raises(EvaluationError, match="question 2: the model gave no logits"):
        TASK.predict(dataset, windows, [good], WindowSettings())


def test_rows_are_cut_to_max_length(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Long texts and pairs fill `max_length` exactly; no room at all is an error."""
    long = {"id": "1", "text": "who " * 50, "label": 0}
    pair = {"id": "2", "text": "who " * 50, "text_pair": "wrote " * 3, "label": 0}
    dataset = TASK.read(write(tmp_path, long, pair), "texts")
    windows = TASK.cut(dataset, tokenizer, WindowSettings(max_length=12))
    assert [len(window.input_ids) for window in windows] == [12, 12]
    assert windows[1].token_type_ids.sum() == 4
    with pytest.raises(UsageError, match="max_length: 3 leaves no room"):
        TASK.cut(dataset, tokenizer, WindowSettings(max_length=3))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60))
def test_shorten_cuts_token_by_token_from_the_longer_text(first: int, second: int, room: int) -> None:
    """Two texts are cut as if token by token from the longer one, up to the odd last token."""
    lengths = [first, second]
    while sum(lengths) > room:
        lengths[lengths.index(max(lengths))] -= 1
    actual = shorten(first, second, room)
    assert sum(lengths) == sum(actual)
    assert sorted(lengths) == sorted(actual)
    assert actual[0] <= first
    assert actual[1] <= second
