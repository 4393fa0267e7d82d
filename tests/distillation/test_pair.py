"""Pair: only a student of this teacher learns from it."""

import json
from pathlib import Path

import pytest
from letters import WORDS, MakeCheckpoint, copied

from quantkit.checkpoint import read_checkpoint
from quantkit.distillation.pair import Pair, pair_up
from quantkit.errors import CheckpointError, UsageError


def paired(student: Path, teacher: Path, layers: tuple[int, ...] | None = None) -> Pair:
    return pair_up(*(read_checkpoint(str(one), task="squad") for one in (student, teacher)), layers)


def test_layers_stand_for_each_other(pair: Pair) -> None:
    """Without missing layers each stands for its own, and gives what the next one takes."""
    assert (pair.layers, pair.takes) == ((0, 1), (1, 2))


def test_fewer_layers_must_be_named(make_checkpoint: MakeCheckpoint, teacher: Path) -> None:
    """Which of the teacher's layers are gone is not guessed; what was named must fit."""
    student = make_checkpoint(teacher, num_hidden_layers=1)
    found = paired(student, teacher, (1,))
    assert (found.layers, found.takes) == ((1,), (2,))
    with pytest.raises(UsageError, match="--layer: is missing"):
        paired(student, teacher)
    with pytest.raises(UsageError, match="--layer: gives 2 for the 1 layers"):
        paired(student, teacher, (2,))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"hidden_size": 16}, "hidden_size is 16, and 32"),
        ({"num_hidden_layers": 3}, "it has 3 layers, and the teacher 2"),
    ],
)
def test_another_shape_is_no_student(
    make_checkpoint: MakeCheckpoint, teacher: Path, changes: dict[str, int], what: str
) -> None:
    """A checkpoint of another width, or of more layers, was not made from this teacher."""
    with pytest.raises(CheckpointError, match=what):
        paired(make_checkpoint(**changes), teacher)


def test_another_vocabulary_is_no_student(student: Path, teacher: Path, tmp_path: Path) -> None:
    """Equally many tokens in another order are another vocabulary."""
    other = copied(student, tmp_path / "other")
    (other / "vocab.txt").write_text("\n".join([*WORDS[:5], *WORDS[5:][::-1]]) + "\n")
    with pytest.raises(CheckpointError, match="tokenizers cut the same text differently"):
        paired(other, teacher)


def test_two_tokens_that_changed_places_are_another_vocabulary(
    student: Path, teacher: Path, tmp_path: Path
) -> None:
    """A text without them is cut the same; the rows would still mean something else to the two models."""
    other = copied(student, tmp_path / "other")
    (other / "vocab.txt").write_text("\n".join([*WORDS[:-3], WORDS[-2], WORDS[-3], WORDS[-1]]) + "\n")
    with pytest.raises(CheckpointError, match=r"the id of the token '.+' is \d+, and \d+ in the teacher"):
        paired(other, teacher)


@pytest.mark.parametrize("name", ["student.json", "distill.json"])
def test_a_record_of_another_teacher_is_believed(
    student: Path, teacher: Path, tmp_path: Path, name: str
) -> None:
    """What says that it was made from other weights is no student of these."""
    other = copied(student, tmp_path / "other")
    (other / name).write_text(json.dumps({"teacher": "0" * 64}))
    with pytest.raises(CheckpointError, match=rf"{name} says that its teacher is 000000000000"):
        paired(other, teacher)
