"""Which column of a row means what: by the names people use, or as the user says (`FILE?text=review`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.errors import DatasetError
from quantkit.files import digest_of
from quantkit.tasks.rows.formats import Row

_ID_LETTERS = 16
# Task → the meaning that a score needs and calibration does not. Not of NER: the columns of CoNLL have no names.
_RIGHT_ANSWER: Mapping[str, str] = {
    "squad": "answers",
    "text-classification": "label",
    "multi-label-classification": "label",
    "text-regression": "score",
    "reranking": "relevance",
    "sentence-similarity": "score",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a task wants to know of a row.

    Attributes:
        name: the task's word for it.
        known: names of columns that hold it, best first; a tuple of names must all be there to count, and the first of
            them holds it.
        needed: a row without it is an error.
    """

    name: str
    known: tuple[str | tuple[str, ...], ...]
    needed: bool = False


def called(
    path: Path, columns: Sequence[str], meanings: Sequence[Meaning], asked: Mapping[str, str]
) -> dict[str, str]:
    """Return meaning → column.

    Args:
        path: the file, for messages.
        columns: that it has.
        meanings: that the task knows.
        asked: meaning → column, as the user says; wins.

    Raises:
        DatasetError: a column or a meaning that was asked for does not exist, or what is needed is in no column.
    """
    names = [meaning.name for meaning in meanings]
    for name, given in asked.items():
        if name not in names:
            raise DatasetError(f"{path}: this task knows no {name!r}; give {', '.join(names)}")
        if given not in columns:
            raise DatasetError(f"{path}: has no column {given!r}; it has {', '.join(columns)}")
    found: dict[str, str] = {}
    for meaning in meanings:
        free = [name for name in columns if name not in asked.values() and name not in found.values()]
        column = asked.get(meaning.name) or _first(meaning.known, free)
        if column is None and meaning.needed:
            raise DatasetError(
                f"{path}: no column is the {meaning.name}; say {_wanted(columns, meanings, asked)} "
                f"(it has {', '.join(columns)})"
            )
        if column is not None:
            found[meaning.name] = column
    return found


def answer_column(task: str, path: Path) -> str | None:
    """Return how the column of right answers is named behind a file; None where its columns have no names."""
    meaning = None if path.suffix == ".txt" else _RIGHT_ANSWER.get(task)
    return None if meaning is None else f"'FILE?{meaning}=COLUMN'"


def _wanted(columns: Sequence[str], meanings: Sequence[Meaning], asked: Mapping[str, str]) -> str:
    """Return how to name every column that is looked for and not found, so that one try mends all."""
    free = [name for name in columns if name not in asked.values()]
    missing = [
        meaning.name
        for meaning in meanings
        if (meaning.needed or meaning.name in _RIGHT_ANSWER.values())
        and meaning.name not in asked
        and _first(meaning.known, free) is None
    ]
    given = [f"{name}={column}" for name, column in asked.items()]
    return "'FILE?" + "&".join([*given, *(f"{name}=COLUMN" for name in missing)]) + "'"


def _first(known: Sequence[str | tuple[str, ...]], free: Sequence[str]) -> str | None:
    for entry in known:
        wanted = (entry,) if isinstance(entry, str) else entry
        if all(name in free for name in wanted):
            return wanted[0]
    return None


def made_id(content: Any, taken: Mapping[str, object]) -> str:
    """Return an id for a row that has none, made of its content; the same content again gets a number behind it."""
    made = digest_of(content)[:_ID_LETTERS]
    number = 2
    name = made
    while name in taken:
        name, number = f"{made}-{number}", number + 1
    return name


def text_id(row: Row, path: Path, named: Mapping[str, str], taken: Mapping[str, object]) -> str | None:
    """Return a row's own id as text, None where the file has none.

    Raises:
        DatasetError: it is no text or number, is empty, or was used before.
    """
    if "id" not in named:
        return None
    value = row.values.get(named["id"])
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DatasetError(f"{path}: {row.place}: the id is {value!r}; give every row one, or none a column")
    if str(value) in taken:
        raise DatasetError(f"{path}: {row.place}: id {str(value)!r} was used before; give every row its own")
    return str(value)
