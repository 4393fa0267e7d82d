"""Text regression: numbers, their files, and how near they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.errors import DatasetError, EvaluationError
from quantkit.tasks import WindowSettings, task
from quantkit.tasks.tokenizer import Tokenizer

TASK = task("text-regression")
SETTINGS = WindowSettings()
ROWS = [
    {"id": str(at), "sentence1": "who", "sentence2": "wrote", "score": score}
    for at, score in enumerate((0.0, 2.5, "5"))
]


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON Lines."""
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_numbers_on_any_scale(tmp_path: Path, wordpiece_folder: Path) -> None:
    """What goes up and down alike is near, whatever its scale; the order reversed is far; a constant is in between."""
    dataset = TASK.read(write(tmp_path, ROWS), "pairs")
    windows = TASK.cut(dataset, Tokenizer.load(wordpiece_folder), SETTINGS)
    assert TASK.right(dataset, windows) == [((0.0,),), ((2.5,),), ((5.0,),)]

    def scores(*numbers: float) -> list[float]:
        outputs = [(np.array([number], np.float32),) for number in numbers]
        found = TASK.predict(dataset, windows, outputs, SETTINGS)
        assert [row.f1 for row in found] == TASK.expected_scores(dataset, windows, outputs, SETTINGS)
        return [row.f1 for row in found]

    # Rounded only where the mean and the deviation are.
    assert scores(0.1, 0.2, 0.3) == pytest.approx([1.0, 1.0, 1.0], abs=1e-9)
    assert scores(3, 2, 1) == pytest.approx([np.exp(-3.0), 1.0, np.exp(-3.0)], rel=1e-6)
    assert scores(4, 4, 4) == pytest.approx([np.exp(-0.75), 1.0, np.exp(-0.75)], rel=1e-6)


def test_several_numbers_are_refused(tmp_path: Path, wordpiece_folder: Path) -> None:
    """A model with two labels gives no number."""
    dataset = TASK.read(write(tmp_path, ROWS[:1]), "pairs")
    windows = TASK.cut(dataset, Tokenizer.load(wordpiece_folder), SETTINGS)
    with pytest.raises(
        EvaluationError, match="the model gives 2 numbers for 0, and text-regression needs one"
    ):
        TASK.predict(dataset, windows, [(np.zeros(2, np.float32),)], SETTINGS)


@pytest.mark.parametrize("score", [None, True, "good", "nan", [1]])
def test_what_is_no_number_is_an_error(tmp_path: Path, score: Any) -> None:
    """The file, its line, and what to do."""
    with pytest.raises(DatasetError, match=r"line 1: score is .*, not a number; give rows with text"):
        TASK.read(write(tmp_path, [{**ROWS[0], "score": score}]), "pairs")


def test_a_file_without_numbers_is_for_calibration(tmp_path: Path, wordpiece_folder: Path) -> None:
    """It is cut, and cannot be scored."""
    dataset = TASK.read(write(tmp_path, [{"text": "who"}]), "texts")
    windows = TASK.cut(dataset, Tokenizer.load(wordpiece_folder), SETTINGS)
    assert TASK.right(dataset, windows) == [()]
    with pytest.raises(DatasetError, match="has no score, so there is nothing to score"):
        TASK.predict(dataset, windows, [(np.zeros(1, np.float32),)], SETTINGS)
