"""Rows with any number of labels, in the forms people write them in.

* a list of names or indices, also as text in a cell: `["joy", "love"]`, `[0, 3]`, `"['joy', 'love']"`;
* text with a separator: `joy|love`. The separator is the first of `|`, `;` and `,` that the column has, for all rows;
* a list of 0 and 1 for every label, as transformers' Trainer takes it: `[0.0, 1.0, 0.0]`. Lists of 0 and 1 alone, all
  of one length of 2 or more, are that and no indices;
* one column for every label, 0 or 1 in it: where no column is called `labels`, columns that have nothing else.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.errors import DatasetError
from quantkit.tasks.rows.columns import Meaning
from quantkit.tasks.rows.formats import Row, Rows
from quantkit.tasks.task import Dataset
from quantkit.tasks.texts import NAMES, TEXT, PairQuestion, TextFile

_FORMAT = "give rows with text and labels, a list or 0/1 columns"
_MEANINGS = (*TEXT, Meaning(name="label", known=("labels", "label")), *NAMES)
_SEPARATORS = ("|", ";", ",")
_LONGEST_CELL = 10_000  # letters of a list as text; what is longer is no list of labels
_FLAGS: Mapping[Any, bool] = {0: False, 1: True, "0": False, "1": True, "0.0": False, "1.0": True}

Labels = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSetQuestion(PairQuestion):
    """A text or a pair of texts with its labels.

    Attributes:
        labels: the right labels, by name or index; None in a file that has none, for calibration.
        columns: all columns of 0 and 1, in the order of the file, where labels come from such; else empty.
    """

    labels: Labels | None
    columns: tuple[str, ...] = ()


def read(path: Path, name: str, columns: Mapping[str, str], *, task: str) -> Dataset:
    """Read a file.

    Args:
        path: the file.
        name: the dataset's name.
        columns: meaning → column, as the user says.
        task: that reads it.

    Raises:
        DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
    """
    file = TextFile.open(path, _MEANINGS, columns, _FORMAT)
    rows, named = file.rows, file.named
    flags = () if "label" in named else _flag_columns(rows, frozenset(named.values()))
    labels = _labels(path, rows, named, flags)
    questions: dict[str, LabelSetQuestion] = {}
    for row, right in zip(rows.rows, labels, strict=True):
        question = LabelSetQuestion(**file.fields(row, right, questions), labels=right, columns=flags)
        questions[question.id] = question
    return file.dataset(name, task, questions)


def _flag_columns(rows: Rows, taken: frozenset[str]) -> tuple[str, ...]:
    """Return the columns that have 0 or 1 in every row and no other meaning."""
    return tuple(
        name
        for name in rows.columns
        if name not in taken and all(is_flag(row.values.get(name)) for row in rows.rows)
    )


def is_flag(value: Any) -> bool:
    """Return whether a value is 0 or 1: a number, true or false, or text from a CSV file."""
    return isinstance(value, bool | int | float | str) and value in _FLAGS


def _labels(path: Path, rows: Rows, named: Mapping[str, str], flags: tuple[str, ...]) -> list[Labels | None]:
    if flags:
        return [tuple(name for name in flags if _FLAGS[row.values[name]]) for row in rows.rows]
    if "label" not in named:
        return [None] * len(rows.rows)
    cells = [row.values.get(named["label"]) for row in rows.rows]
    separator = _separator(cells)
    lists = [
        _listed(path, row, named["label"], cell, separator)
        for row, cell in zip(rows.rows, cells, strict=True)
    ]
    if _are_flags(lists):
        return [tuple(at for at, value in enumerate(found) if _FLAGS[value]) for found in lists]
    return [_checked(path, row, named["label"], found) for row, found in zip(rows.rows, lists, strict=True)]


def _separator(cells: Sequence[Any]) -> str | None:
    texts = [cell for cell in cells if isinstance(cell, str) and not _is_list(cell)]
    return next((mark for mark in _SEPARATORS if any(mark in text for text in texts)), None)


def _listed(path: Path, row: Row, column: str, cell: Any, separator: str | None) -> list[Any]:
    """Return what a cell has as a list; a single label is a list of one, and an empty cell has none.

    Raises:
        DatasetError: it is neither.
    """
    if isinstance(cell, list):
        return cell
    if isinstance(cell, str) and _is_list(cell):
        try:
            found = ast.literal_eval(cell) if len(cell) <= _LONGEST_CELL else None
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            found = None
        if isinstance(found, list):
            return found
    elif isinstance(cell, str):
        parts = cell.split(separator) if separator else [cell]
        return [part.strip() for part in parts if part.strip()]
    elif isinstance(cell, int) and not isinstance(cell, bool):
        return [cell]
    raise DatasetError(f"{path}: {row.place}: {column} is {_cut(cell)}, no list of labels; {_FORMAT}")


def _is_list(cell: str) -> bool:
    return cell.lstrip().startswith("[")


def _are_flags(lists: Sequence[list[Any]]) -> bool:
    lengths = {len(found) for found in lists}
    return (
        len(lengths) == 1
        and lengths.pop() >= 2
        and all(is_flag(value) and not isinstance(value, str) for found in lists for value in found)
    )


def _checked(path: Path, row: Row, column: str, found: list[Any]) -> Labels:
    for label in found:
        if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
            raise DatasetError(f"{path}: {row.place}: {column} has {_cut(label)}, not a label; {_FORMAT}")
    return tuple(found)


def _cut(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
