"""Selection: candidates are judged on questions that were neither calibrated on nor are the gate's."""

import json
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import DatasetError, UsageError
from quantkit.exam.selection import SelectionRequest, select_questions
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import CalibrationSet, select

TASK = "text-classification"


def write(path: Path, ids: range) -> Path:
    """Write texts with these ids."""
    path.write_text("\n".join(json.dumps({"id": f"t{n}", "text": "hello", "label": 0}) for n in ids) + "\n")
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(tmp_path / "texts.jsonl", range(40))


def asked(
    calib: Path | str,
    *,
    select: Path | None = None,
    select_questions: int = 800,
    gate_data: Path | str | None = None,
    seed: int = 0,
    task: str = TASK,
) -> SelectionRequest:
    """Return a request."""
    return SelectionRequest(
        task=task,
        calib=str(calib),
        select=None if select is None else str(select),
        questions=select_questions,
        gate_data=None if gate_data is None else str(gate_data),
        seed=seed,
    )


def chosen(
    calib: Path, *, questions: int = 10, seed: int = 0, task: str = TASK, **wanted: Any
) -> tuple[CalibrationSet, Dataset]:
    """Return the calibration set and the selection."""
    calibration_set = select(str(calib), task, questions, None, seed)
    request = asked(calib, seed=seed, task=task, **wanted)
    return calibration_set, select_questions(request, calibration_set, None)


def ids(dataset: Dataset) -> list[str]:
    return [question.id for question in dataset.questions]


def test_more_of_the_calibration_file(texts: Path) -> None:
    """Without --select the rest of the calibration file is taken, never what was calibrated on."""
    calibrated, selected = chosen(texts, select_questions=20)
    assert len(selected.questions) == 20
    assert not set(calibrated.ids).intersection(ids(selected))


def test_another_file_less_what_was_calibrated_on(texts: Path, tmp_path: Path) -> None:
    """A file that shares questions with the calibration file gives only the others."""
    other = write(tmp_path / "other.jsonl", range(30, 60))
    calibrated, selected = chosen(texts, questions=40, select=other, select_questions=30)
    assert set(ids(selected)) == {f"t{n}" for n in range(40, 60)}
    assert not set(calibrated.ids).intersection(ids(selected))


def test_same_seed_same_questions(texts: Path) -> None:
    """The choice depends on the seed and the ids alone; fewer are the first of more."""
    first, again, fewer = (chosen(texts, select_questions=count)[1] for count in (20, 20, 5))
    assert ids(first) == ids(again)
    assert first.digest == again.digest
    assert ids(first)[:5] == ids(fewer)
    assert ids(first) != ids(chosen(texts, select_questions=20, seed=1)[1])


def test_gates_questions_are_refused(texts: Path, tmp_path: Path) -> None:
    """The line says how many there are, names one of them, and says what to do."""
    gate = write(tmp_path / "gate.jsonl", range(35, 60))
    with pytest.raises(DatasetError, match=r"of the 30 selection questions are the gate's") as error:
        chosen(texts, select_questions=30, gate_data=gate)
    named = str(error.value).partition("such as t")[2].partition(";")[0]
    assert 35 <= int(named) < 40
    assert str(texts) in str(error.value)


def test_gate_beside_the_selection_is_fine(texts: Path, tmp_path: Path) -> None:
    """A gate on other questions says nothing."""
    gate = write(tmp_path / "gate.jsonl", range(50, 60))
    assert len(chosen(texts, select_questions=20, gate_data=gate)[1].questions) == 20


def test_gate_that_is_named_must_be_there(texts: Path) -> None:
    """A name that leads nowhere is a mistake."""
    with pytest.raises(DatasetError, match=r"^nowhere.jsonl: "):
        chosen(texts, select_questions=20, gate_data="nowhere.jsonl")


def test_gate_that_nobody_named_only_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQuAD dev is the gate's by default; where it cannot be had the search goes on and says so."""

    def absent(name: str, task: str, data_dir: Path | None) -> Dataset:
        raise DatasetError(f"{name}: is nowhere here")

    monkeypatch.setattr("quantkit.exam.overlap.load", absent)
    _, selected = chosen(Path("callcentre"), task="squad", select_questions=20)
    assert len(selected.questions) == 20
    assert "questions of the gate (squad) is not known: squad: is nowhere here" in caplog.text


def test_task_without_a_usual_gate_asks_nothing(texts: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is known of a classifier's gate, and nothing is said."""
    chosen(texts, select_questions=20)
    assert caplog.text == ""


@pytest.mark.parametrize("count", [40, 39])
def test_too_few_are_left(texts: Path, count: int) -> None:
    """One question is no selection."""
    with pytest.raises(DatasetError, match=rf"has {40 - count} questions besides the {count} calibrated on"):
        chosen(texts, questions=count, select_questions=20)


def test_list_has_no_more_questions(texts: Path) -> None:
    """A public calibration list needs --select."""
    calibrated = select(str(texts), TASK, 10, None, 0)
    with pytest.raises(UsageError, match=r"^--select: is needed with --calib squad, a list"):
        select_questions(asked("squad", task="squad"), calibrated, None)
