"""Rows: the questions as the models read them, and which rows are in which batch of the training.

A batch is found by its number alone: the seed and the epoch shuffle the rows, rows of one length fill batches, and
the batches are shuffled. So a training that goes on after a stop sees what it would have seen, and little is padded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantkit.runtime.batching import token_budget_batches
from quantkit.tasks import Dataset, Task, Window, WindowSettings
from quantkit.tasks.task import Right
from quantkit.tasks.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rows:
    """Rows to learn on.

    Attributes:
        windows: of all questions.
        right: for each window what the labels say; empty when they are not asked for.
        pad_id: the token that fills a row up.
    """

    windows: Sequence[Window]
    right: Sequence[Right]
    pad_id: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(window.input_ids) for window in self.windows]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Padded:
    """Rows side by side, int64 [rows, tokens].

    Attributes:
        input_ids: tokens, padded to the longest row.
        token_type_ids: likewise.
        attention_mask: 1 where a row has a token; None when no row is padded.
        right: what the labels say of each row; empty when they are not asked for.
    """

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64] | None
    right: tuple[Right, ...]


@dataclass(kw_only=True, slots=True)
class Batches:
    """The batches of a training, by number.

    Attributes:
        lengths: tokens of each row.
        token_budget: the most tokens of a batch, padding included.
        seed: of the shuffles.
    """

    lengths: Sequence[int]
    token_budget: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _batches: list[tuple[int, ...]] = field(default_factory=list, init=False)

    def __getitem__(self, number: int) -> tuple[int, ...]:
        """Return the rows of batch `number`, from 0 without end."""
        if not self._batches:
            self._shuffle(0)
        # Every epoch has as many: rows of one length fill batches, and the rest is cut by its lengths alone.
        epoch, place = divmod(number, len(self._batches))
        if epoch != self._epoch:
            self._shuffle(epoch)
        return self._batches[place]

    @property
    def per_epoch(self) -> int:
        """How many batches hold every row once."""
        if not self._batches:
            self._shuffle(0)
        return len(self._batches)

    def _shuffle(self, epoch: int) -> None:
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.lengths))
        cut = token_budget_batches([self.lengths[row] for row in order], self.token_budget)
        batches = [tuple(int(order[place]) for place in batch.indices) for batch in cut]
        self._batches = [batches[place] for place in random.permutation(len(batches))]
        self._epoch = epoch


def read_rows(
    datasets: Sequence[Dataset], task: Task, tokenizer: Tokenizer, settings: WindowSettings, *, labelled: bool
) -> Rows:
    """Return the rows of all questions.

    Args:
        datasets: the questions.
        task: what the models do.
        tokenizer: of both models.
        settings: how long rows are.
        labelled: take what the labels say along.

    Raises:
        UsageError: a length does not fit the model.
        DatasetError: a label that the model does not have.
    """
    windows: list[Window] = []
    right: list[Right] = []
    for dataset in datasets:
        cut = task.cut(dataset, tokenizer, settings)
        windows += cut
        right += task.right(dataset, cut) if labelled else []
    return Rows(windows=windows, right=right, pad_id=tokenizer.pad_id)


def pad(rows: Rows, indices: Sequence[int]) -> Padded:
    """Return some rows side by side."""
    windows = [rows.windows[index] for index in indices]
    length = max(len(window.input_ids) for window in windows)
    input_ids = np.full((len(windows), length), rows.pad_id, np.int64)
    token_type_ids, mask = np.zeros((2, len(windows), length), np.int64)
    for place, window in enumerate(windows):
        count = len(window.input_ids)
        input_ids[place, :count] = window.input_ids
        token_type_ids[place, :count] = window.token_type_ids
        mask[place, :count] = 1
    return Padded(
        input_ids=input_ids,
        token_type_ids=token_type_ids,
        attention_mask=None if mask.all() else mask,
        right=tuple(rows.right[index] for index in indices) if rows.right else (),
    )
