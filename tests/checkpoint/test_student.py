"""What a checkpoint's folder says of its teacher."""

import json
from pathlib import Path

import pytest

from quantkit.checkpoint.student import teacher_of
from quantkit.errors import CheckpointError


def test_the_teacher_is_what_the_records_say(tmp_path: Path) -> None:
    """A folder without records says nothing; a search and a distillation of one teacher say the same."""
    assert teacher_of(tmp_path) is None
    for name in ("student.json", "distill.json"):
        (tmp_path / name).write_text(json.dumps({"teacher": "a"}))
        assert teacher_of(tmp_path) == "a"


def test_two_teachers_are_a_mistake(tmp_path: Path) -> None:
    """Records that were put together from two students are refused."""
    for name, teacher in (("student.json", "a"), ("distill.json", "b")):
        (tmp_path / name).write_text(json.dumps({"teacher": teacher}))
    with pytest.raises(CheckpointError, match=r"student\.json and distill\.json name different teachers"):
        teacher_of(tmp_path)
