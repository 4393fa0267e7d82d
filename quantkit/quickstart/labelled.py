"""Training rows: windows of generated passages, labelled with where the answer stands in them."""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quantkit.files import write_text
from quantkit.quickstart.generate import Answer, Passage, full_name, slot_names, squad_json
from quantkit.tasks import WindowSettings
from quantkit.tasks.squad import TASK, SquadWindow
from quantkit.tasks.tokenizer import Tokenizer

IGNORED = -100
"""The label that a loss leaves out."""

NOWHERE = (0, 0)
"""The label of a window without the answer: the [CLS] token, as in the original `run_squad.py`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Row:
    """A window with its label.

    Attributes:
        window: question and stretch.
        span: first and last token of the answer in `window.input_ids`.
        slot: number of the slot that is asked about, from 1.
        slots: int64 [tokens], number of the slot that a token of the paragraph belongs to, 0 for none, and
            `IGNORED` outside the paragraph.
    """

    window: SquadWindow
    span: tuple[int, int]
    slot: int
    slots: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Rows padded to the longest of them; all arrays int64.

    Attributes:
        input_ids: [rows, tokens].
        token_type_ids: [rows, tokens].
        attention_mask: [rows, tokens].
        position_ids: [rows, tokens].
        spans: [rows, 2].
        slot: [rows].
        slots: [rows, tokens].
    """

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    position_ids: NDArray[np.int64]
    spans: NDArray[np.int64]
    slot: NDArray[np.int64]
    slots: NDArray[np.int64]


def label_passages(passages: Sequence[Passage], tokenizer: Tokenizer, settings: WindowSettings) -> list[Row]:
    """Return the rows of all questions, through the same reading and cutting as in an evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.json"
        write_text(path, squad_json(passages))
        dataset = TASK.read(path, "training")
    numbers = {name: number for number, name in enumerate(slot_names(), start=1)}
    asked = {question.id: (passage, question) for passage in passages for question in passage.questions}
    rows = []
    for window in cast(list[SquadWindow], TASK.cut(dataset, tokenizer, settings)):
        passage, question = asked[dataset.questions[window.question].id]
        slots = np.full(len(window.input_ids), IGNORED, np.int64)
        slots[window.first : window.first + len(window.offsets)] = 0
        for said, value in passage.values.items():
            first, last = _find_span(window, value)
            if (first, last) != NOWHERE:
                slots[first : last + 1] = numbers[full_name(passage.title, said)]
        slot = numbers[full_name(passage.title, question.slot)]
        rows.append(Row(window=window, span=_find_span(window, question.answers[0]), slot=slot, slots=slots))
    return rows


def _find_span(window: SquadWindow, answer: Answer) -> tuple[int, int]:
    """Return the first and the last token of an answer, or `NOWHERE`."""
    start, length = answer.answer_start, len(answer.text)
    starts, ends = window.offsets[:, 0], window.offsets[:, 1]
    hits = np.flatnonzero((ends > start) & (starts < start + length))
    if not len(hits) or starts[hits[0]] > start or ends[hits[-1]] < start + length:
        return NOWHERE
    return window.first + int(hits[0]), window.first + int(hits[-1])


def make_batches(
    passages: Iterator[Passage],
    tokenizer: Tokenizer,
    settings: WindowSettings,
    rng: np.random.Generator,
    *,
    tokens: int,
    positions: int,
) -> Iterator[Batch]:
    """Yield batches without end, each of rows of about one length and of at most `tokens` tokens.

    Args:
        passages: an endless stream.
        tokenizer: of the model.
        settings: of the windows.
        rng: shuffles batches and moves paragraphs.
        tokens: the most tokens of a batch, padding included.
        positions: the size of the model's position table.
    """
    while True:
        rows = label_passages(list(itertools.islice(passages, 400)), tokenizer, settings)
        rows.sort(key=lambda row: len(row.window.input_ids))
        groups: list[list[Row]] = [[]]
        for row in rows:
            if len(row.window.input_ids) * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(row)
        for index in rng.permutation(len(groups)):
            yield _pad(groups[index], rng, positions)


def _pad(rows: Sequence[Row], rng: np.random.Generator, positions: int) -> Batch:
    length = max(len(row.window.input_ids) for row in rows)
    input_ids, token_type_ids, attention_mask = (np.zeros((len(rows), length), np.int64) for _ in range(3))
    slots = np.full((len(rows), length), IGNORED, np.int64)
    position_ids = np.tile(np.arange(length), (len(rows), 1))
    for index, row in enumerate(rows):
        window, count = row.window, len(row.window.input_ids)
        slots[index, :count] = row.slots
        input_ids[index, :count] = window.input_ids
        token_type_ids[index, :count] = window.token_type_ids
        attention_mask[index, :count] = 1
        if rng.random() < 0.5:
            # Short rows would leave most positions untrained, so half of the paragraphs stand further right.
            position_ids[index, window.first :] += rng.integers(0, positions - length + 1)
    return Batch(
        input_ids=input_ids,
        token_type_ids=token_type_ids,
        attention_mask=attention_mask,
        position_ids=position_ids,
        spans=np.array([row.span for row in rows], np.int64),
        slot=np.array([row.slot for row in rows], np.int64),
        slots=slots,
    )
