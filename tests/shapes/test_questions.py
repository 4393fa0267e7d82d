"""Questions of a search are read before the teacher is exported."""

import json
from pathlib import Path
from typing import Any

import pytest
from letters import MakeCheckpoint

from quantkit.artifact import Artifact
from quantkit.checkpoint import read_checkpoint
from quantkit.errors import DatasetError
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes.questions import read_questions
from quantkit.stages.search import Output, search


def not_exported(*_: Path) -> Artifact:
    pytest.fail("the teacher was exported")


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"data": "nowhere.json"}, r"^nowhere\.json: there is no such calibration set; "),
        (
            {"data_questions": 1},
            r"questions\.json: \d+ tokens in 1 calibration questions are too few for the second moments of 64 "
            r"channels, .* --data-questions$",
        ),
        ({"data": "blank.json"}, r"^blank\.json: its 12 calibration questions hold no text; .* --data$"),
        ({"data_questions": 85}, r"questions\.json: has 90 questions, and 91 are asked for"),
        ({"gate_data": "questions.json"}, r"questions\.json: 18 of the 18 questions are the gate's"),
    ],
    ids=["no file", "tokens", "text", "questions", "gate"],
)
def test_nothing_is_exported(
    make_checkpoint: MakeCheckpoint,
    settings: SearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    changed: dict[str, Any],
    line: str,
) -> None:
    """A mistake in the data is told without the minutes that an export takes, and no folder is made."""
    monkeypatch.chdir(tmp_path)
    asked = [{"id": f"b{number}", "question": "", "answers": [{"text": "a"}]} for number in range(40)]
    blank = {"data": [{"title": "t", "paragraphs": [{"context": "", "qas": asked}]}]}
    Path("blank.json").write_text(json.dumps(blank))
    with pytest.raises(DatasetError, match=line):
        search(
            read_checkpoint(str(make_checkpoint()), task="squad"),
            Output(path=tmp_path / "out"),
            settings=settings.model_copy(update=changed),
            export=not_exported,
            work=tmp_path / "work",
        )
    assert not (tmp_path / "out").exists()


def test_three_sets(make_checkpoint: MakeCheckpoint, settings: SearchSettings) -> None:
    """There are as many as are asked for, and none is in two of them."""
    read = read_questions(read_checkpoint(str(make_checkpoint()), task="squad"), settings, None)
    sets = [
        {question.id for question in dataset.questions}
        for dataset in (read.observed.dataset, read.damage, read.selection)
    ]
    assert list(map(len, sets)) == [12, 6, 6]
    assert len(set.union(*sets)) == 24
