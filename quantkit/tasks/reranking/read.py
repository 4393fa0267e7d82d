"""Queries with their passages, from rows.

* A row for each passage: `{"query": "...", "passage": "...", "relevance": 1}`. Rows of one query need not stand
  together; a query is told by `query_id` where the file has it, else by its text.
* A row for each query, as collections of reranking data have it: `{"query": "...", "positive": ["..."], "negative":
  ["..."]}`, of relevance 1 and 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantkit.errors import DatasetError
from quantkit.files import sha256_bytes
from quantkit.tasks.reading import read_file
from quantkit.tasks.rows.columns import Meaning, called, made_id
from quantkit.tasks.rows.formats import Row, read_rows
from quantkit.tasks.task import Dataset, Question
from quantkit.tasks.text_regression import number_of

_FORMAT = "give rows with query, passage and relevance"
_QUERY = Meaning(name="query", known=("query", "question"), needed=True)
_QUERY_ID = Meaning(name="id", known=("query_id", "query-id", "qid", "id"))
_GROUP = Meaning(name="group", known=("group",))
_BY_PASSAGE = (
    _QUERY,
    Meaning(name="passage", known=("passage", "document", "text", "answer"), needed=True),
    Meaning(name="relevance", known=("relevance", "label", "labels", "score")),
    _QUERY_ID,
    _GROUP,
)
_BY_QUERY = (
    _QUERY,
    Meaning(name="positive", known=("positive", "positives"), needed=True),
    Meaning(name="negative", known=("negative", "negatives"), needed=True),
    _QUERY_ID,
    _GROUP,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedQuestion(Question):
    """A query with its passages; its group is its id unless the file says otherwise.

    Attributes:
        query: the query's text.
        passages: at least one, in the order of the file.
        relevance: of each passage, 0 or more; None in a file that has none, for calibration.
    """

    query: str
    passages: tuple[str, ...]
    relevance: tuple[float, ...] | None


@dataclass(kw_only=True, slots=True)
class _Group:
    """A query while its rows are read."""

    id: str | None
    group: str | None
    query: str
    passages: list[tuple[str, float | None]] = field(default_factory=list)


def read(path: Path, name: str, columns: Mapping[str, str], *, task: str) -> Dataset:
    """Read a file.

    Args:
        path: the file.
        name: the dataset's name.
        columns: meaning → column, as the user says.
        task: that reads it.

    Raises:
        DatasetError: the file is missing, empty, broken or of another schema, or a query has two texts.
    """
    content = read_file(path)
    rows = read_rows(path, content, _FORMAT)
    by_query = any(known in rows.columns for known in _BY_QUERY[1].known) or "positive" in columns
    named = called(path, rows.columns, _BY_QUERY if by_query else _BY_PASSAGE, columns)
    groups: dict[str, _Group] = {}
    for row in rows.rows:
        query = _text(row, path, named["query"], row.values.get(named["query"]))
        known = _id(row, path, named)
        group = groups.setdefault(
            query if known is None else known, _Group(id=known, group=_group(row, named), query=query)
        )
        if group.query != query:
            raise DatasetError(f"{path}: {row.place}: query {known!r} had another text before; {_FORMAT}")
        group.passages += _passages(row, path, named, by_query=by_query)
    questions: dict[str, RankedQuestion] = {}
    for group in groups.values():
        question = _question(group, questions, path)
        questions[question.id] = question
    digest = sha256_bytes(content)
    return Dataset(
        name=name, path=path, digest=digest, source=digest, task=task, questions=tuple(questions.values())
    )


def _question(group: _Group, taken: Mapping[str, object], path: Path) -> RankedQuestion:
    made = group.id or made_id([group.query], taken)
    if not group.passages:
        raise DatasetError(f"{path}: query {made!r} has no passage; {_FORMAT}")
    relevance = tuple(value for _, value in group.passages if value is not None)
    return RankedQuestion(
        id=made,
        group=group.group or made,
        query=group.query,
        passages=tuple(passage for passage, _ in group.passages),
        relevance=relevance if len(relevance) == len(group.passages) else None,
    )


def _passages(
    row: Row, path: Path, named: Mapping[str, str], *, by_query: bool
) -> Iterator[tuple[str, float | None]]:
    if not by_query:
        passage = _text(row, path, named["passage"], row.values.get(named["passage"]))
        yield passage, _relevance(row, path, named["relevance"]) if "relevance" in named else None
        return
    for meaning, relevance in (("positive", 1.0), ("negative", 0.0)):
        listed = row.values.get(named[meaning])
        for found in listed if isinstance(listed, list) else [listed]:
            yield _text(row, path, named[meaning], found), relevance


def _relevance(row: Row, path: Path, column: str) -> float:
    found = number_of(row, path, column, _FORMAT)
    if found < 0:
        raise DatasetError(f"{path}: {row.place}: {column} is {found:g}; give 0 or more")
    return found


def _text(row: Row, path: Path, column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DatasetError(f"{path}: {row.place}: {column} is {value!r}, not text; {_FORMAT}")
    return value


def _id(row: Row, path: Path, named: Mapping[str, str]) -> str | None:
    if "id" not in named:
        return None
    value = row.values.get(named["id"])
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DatasetError(
            f"{path}: {row.place}: the id is {value!r}; give every query one, or none a column"
        )
    return str(value)


def _group(row: Row, named: Mapping[str, str]) -> str | None:
    value = row.values.get(named["group"]) if "group" in named else None
    return None if value in (None, "") else str(value)
