"""Texts and pairs of texts: what tasks that read them share, from a file's columns to a row of tokens."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import DatasetError, UsageError
from quantkit.files import sha256_bytes
from quantkit.tasks.reading import read_file
from quantkit.tasks.rows.columns import Meaning, called, made_id, text_id
from quantkit.tasks.rows.formats import Row, Rows, read_rows
from quantkit.tasks.task import Dataset, Question
from quantkit.tasks.tokenizer import Tokenizer

_PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
)
TEXT = (
    # (column, column): the first is the text where both are there, as in GLUE's files.
    Meaning(
        name="text",
        known=("text", *_PAIRS, "sentence", "review", "content"),
        needed=True,
    ),
    Meaning(name="text_pair", known=("text_pair", "sentence2", "hypothesis", "question2", "sentence")),
)
NAMES = (
    Meaning(name="id", known=("id", "idx", "guid")),
    Meaning(name="group", known=("group",)),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TokenRow:
    """A text or a pair in tokens; see `quantkit.tasks.task.Window`."""

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    truncated: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PairQuestion(Question):
    """A text or a pair of texts; its group is its id unless the file says otherwise.

    Attributes:
        text: the text.
        text_pair: the second text of a pair, else None.
    """

    text: str
    text_pair: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFile:
    """A file of rows with a text or two in each, and what its columns mean.

    Attributes:
        path: the file.
        digest: sha256 of its bytes.
        rows: of any form.
        named: meaning → column.
        advice: what to give, for messages.
    """

    path: Path
    digest: str
    rows: Rows
    named: Mapping[str, str]
    advice: str

    @classmethod
    def open(
        cls, path: Path, meanings: Sequence[Meaning], columns: Mapping[str, str] | None, advice: str
    ) -> Self:
        """Read a file.

        Args:
            path: the file.
            meanings: that columns may have; `TEXT` and `NAMES` among them.
            columns: meaning → column, as the user says.
            advice: what to give, for messages.

        Raises:
            DatasetError: it is missing, empty, broken, or has not the columns.
        """
        content = read_file(path)
        rows = read_rows(path, content, advice)
        named = called(path, rows.columns, meanings, columns or {})
        return cls(path=path, digest=sha256_bytes(content), rows=rows, named=named, advice=advice)

    def fields(self, row: Row, right: object, taken: Mapping[str, object]) -> dict[str, Any]:
        """Return id, group and texts of a row's question.

        Args:
            row: one of the file's.
            right: what is right for it, of which an id is made where the row has none.
            taken: the ids that are used already.

        Raises:
            DatasetError: a text is none, or the id was used before.
        """
        text, pair = texts_of(row, self.path, self.named, self.advice)
        made = text_id(row, self.path, self.named, taken) or made_id([text, pair, right], taken)
        group = row.values.get(self.named["group"]) if "group" in self.named else None
        return {
            "id": made,
            "group": made if group in (None, "") else str(group),
            "text": text,
            "text_pair": pair,
        }

    def dataset(self, name: str, task: str, questions: Mapping[str, Question]) -> Dataset:
        """Return the dataset of all questions."""
        return Dataset(
            name=name,
            path=self.path,
            digest=self.digest,
            source=self.digest,
            task=task,
            questions=tuple(questions.values()),
        )


def texts_of(row: Row, path: Path, named: Mapping[str, str], advice: str) -> tuple[str, str | None]:
    """Return the text of a row and the second text of a pair.

    Raises:
        DatasetError: one of them is no text.
    """
    text, pair = (row.values.get(named[name]) if name in named else None for name in ("text", "text_pair"))
    for column, found, needed in ((named["text"], text, True), (named.get("text_pair"), pair, False)):
        if not isinstance(found, str) and (needed or found is not None):
            raise DatasetError(f"{path}: {row.place}: {column} is {found!r}, not text; {advice}")
    assert isinstance(text, str)
    return text, pair


def text_rows(
    texts: Sequence[tuple[str, str | None]], tokenizer: Tokenizer, max_length: int
) -> Iterator[TokenRow]:
    """Give one row for each text or pair, cut to `max_length` tokens; of a pair the longer text is cut first.

    Args:
        texts: the texts, each with its second one or None.
        tokenizer: of the model.
        max_length: the most tokens of a row, special tokens included.

    Raises:
        UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
    """
    if max_length <= tokenizer.specials(2):
        raise UsageError(f"max_length: {max_length} leaves no room for text; raise it")
    tokenizer.check_length(max_length)
    first = tokenizer.encode_ids([text for text, _ in texts])
    second = tokenizer.encode_ids([pair or "" for _, pair in texts])
    for (_, pair), ids, pair_ids in zip(texts, first, second, strict=True):
        special = tokenizer.specials(1 if pair is None else 2)
        if pair is None:
            row = tokenizer.row(ids[: max_length - special])
        else:
            kept, kept_pair = shorten(len(ids), len(pair_ids), max_length - special)
            row = tokenizer.row(ids[:kept], pair_ids[:kept_pair])
        yield TokenRow(
            input_ids=row[0],
            token_type_ids=row[1],
            truncated=len(ids) + len(pair_ids) + special > max_length,
        )


def question_rows(dataset: Dataset, tokenizer: Tokenizer, max_length: int) -> Iterator[TokenRow]:
    """Give one row for each question of a dataset of texts; see `text_rows`."""
    texts = [
        (question.text, question.text_pair)
        for question in dataset.questions
        if isinstance(question, PairQuestion)
    ]
    return text_rows(texts, tokenizer, max_length)


def shorten(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the lengths of two texts cut to `room` tokens together, token by token from the longer one.

    As `longest_first` of the `tokenizers` library: when both are cut, the longer one keeps the odd token.
    """
    if first > second:
        return shorten(second, first, room)[::-1]
    second = min(second, max(first, room - first))
    if first + second > room:
        return room // 2, room - room // 2
    return first, second
