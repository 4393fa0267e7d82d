"""Texts and pairs of texts: what tasks that read them share, from a file's columns to a row of tokens."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import DatasetError, UsageError
from quantkit.tasks.rows.columns import Meaning
from quantkit.tasks.rows.formats import Row
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
