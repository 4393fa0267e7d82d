"""Pair: a student, its teacher, and the teacher's layers that the student's layers stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

from quantkit.checkpoint import Checkpoint
from quantkit.checkpoint.student import teachers_of
from quantkit.errors import CheckpointError, UsageError
from quantkit.tasks.tokenizer import Tokenizer

_TEXT = "The quick brown fox, 42 years old, jumps over the lazy dog?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A student and its teacher.

    Attributes:
        student: learns.
        teacher: does not.
        layers: for each layer of the student the teacher's layer, from 0, ascending.
    """

    student: Checkpoint
    teacher: Checkpoint
    layers: tuple[int, ...]

    @property
    def takes(self) -> tuple[int, ...]:
        """For each layer of the student the point of the teacher that its output stands for.

        Point i is what the teacher's layer i takes, and the last one what its encoder gives.
        """
        return (*self.layers[1:], self.teacher.shape.layer_count)


def pair_up(student: Checkpoint, teacher: Checkpoint, layers: Sequence[int] | None) -> Pair:
    """Check that a student can learn from a teacher.

    Args:
        student: its checkpoint.
        teacher: its checkpoint.
        layers: the teacher's layers that stay; None: all of them.

    Raises:
        CheckpointError: the student is not of this teacher: width, vocabulary, tokens, labels or layers differ.
        UsageError: it is not said which layers stay, or what is said does not fit.
    """
    where = f"{student.name}: is no student of {teacher.name}"
    _require_own_record(where, student, teacher)
    _require_same(where, "hidden_size", student.shape.layers[0].hidden, teacher.shape.layers[0].hidden)
    _require_same(where, "vocab_size", student.vocab_size, teacher.vocab_size)
    _require_same(where, "the longest row", student.max_positions, teacher.max_positions)
    mine, theirs = Tokenizer.load(student.folder), Tokenizer.load(teacher.folder)
    if list(mine.encode_ids([_TEXT])[0]) != list(theirs.encode_ids([_TEXT])[0]):
        raise CheckpointError(f"{where}: their tokenizers cut the same text differently; {_ADVICE}")
    # One text has few of the tokens.
    known = theirs.vocabulary
    for token, number in mine.vocabulary.items():
        _require_same(where, f"the id of the token {token!r}", number, known.get(token, number))
    _require_same(where, "the labels", mine.labels, theirs.labels)
    return Pair(student=student, teacher=teacher, layers=_layers(where, student, teacher, layers))


def _require_own_record(where: str, student: Checkpoint, teacher: Checkpoint) -> None:
    """Believe the records that search and distill leave in a folder: what they say of its teacher."""
    for name, said in teachers_of(student.folder).items():
        if said != teacher.digest:
            raise CheckpointError(
                f"{where}: {name} says that its teacher is {said[:12]}, and this one is {teacher.digest[:12]}; "
                f"{_ADVICE}"
            )


_ADVICE = "give the teacher that it was made from as --teacher"


def _require_same(where: str, what: str, mine: object, theirs: object) -> None:
    if mine != theirs:
        raise CheckpointError(f"{where}: {what} is {mine}, and {theirs} in the teacher; {_ADVICE}")


def _layers(
    where: str, student: Checkpoint, teacher: Checkpoint, said: Sequence[int] | None
) -> tuple[int, ...]:
    mine, theirs = student.shape.layer_count, teacher.shape.layer_count
    if mine > theirs:
        raise CheckpointError(f"{where}: it has {mine} layers, and the teacher {theirs}; {_ADVICE}")
    if said is None:
        if mine < theirs:
            raise UsageError(
                f"--layer: is missing; {student.name} has {mine} layers of {theirs}: say for each which of the "
                "teacher's it stands for, such as --layer 0 --layer 2"
            )
        return tuple(range(theirs))
    if len(said) != mine or list(said) != sorted(set(said)) or said[-1] >= theirs:
        raise UsageError(
            f"--layer: gives {', '.join(map(str, said))} for the {mine} layers of {student.name}; give so many of 0 "
            f"to {theirs - 1}, ascending"
        )
    return tuple(said)
