"""All rows through one engine: batches by token budget, outputs in the order of the rows."""

import functools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import EvaluationError
from quantkit.progress import track
from quantkit.runtime.batching import Batch, equal_length_batches, token_budget_batches
from quantkit.runtime.engine import BatchFailed, Engine, Feeds
from quantkit.runtime.session import ATTENTION_MASK, INPUT_IDS, TOKEN_TYPE_IDS, Arrays


class Row(Protocol):
    """What runs: token ids and token types, int64 [tokens] each."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """The token ids."""

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """The token types."""


class Rows(Protocol):
    """Rows that one model reads, in any order: what a task prepares."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows."""

    @property
    def pad_id(self) -> int:
        """The token that fills a row up."""

    def name(self, index: int) -> str:
        """Return what people call a row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Rows to run, and how.

    Attributes:
        rows: in any order; results come in theirs.
        batches: which rows run together.
        pad_id: the token that fills a row up to its batch's length.
        name: index of a row → what people call it ("question 56be…"), for errors.
    """

    rows: Sequence[Row]
    batches: Sequence[Batch]
    pad_id: int
    name: Callable[[int], str]

    @classmethod
    def of(cls, read: Rows, batches: Sequence[Batch]) -> Self:
        """Return rows in these batches."""
        return cls(rows=read.rows, batches=batches, pad_id=read.pad_id, name=read.name)

    def feeds(self, batch: Batch) -> dict[str, NDArray[np.int64]]:
        """Return the graph inputs of a batch, int64 [rows, length] each, padded on the right."""
        shape = (len(batch.indices), batch.length)
        input_ids = np.full(shape, self.pad_id, np.int64)
        attention_mask, token_type_ids = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for place, index in enumerate(batch.indices):
            row = self.rows[index]
            tokens = len(row.input_ids)
            input_ids[place, :tokens] = row.input_ids
            attention_mask[place, :tokens] = 1
            token_type_ids[place, :tokens] = row.token_type_ids
        return {INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask, TOKEN_TYPE_IDS: token_type_ids}

    def part(self, rows: int) -> "Job":
        """Return the same job with evenly spread batches of about so many rows, for timing."""
        if rows >= len(self.rows):
            return self
        stride = max(1, len(self.rows) // rows)
        return replace(self, batches=self.batches[::stride])

    def describe(self, batch: Batch) -> str:
        """Return a batch in words."""
        size = f"{len(batch.indices)} x {batch.length}"
        return f"the batch of {size} tokens that begins with {self.name(batch.indices[0])}"


def batched(read: Rows, *, token_budget: int, equal_lengths: bool = False) -> Job:
    """Return rows in the batches that a token budget cuts them into."""
    cut = equal_length_batches if equal_lengths else token_budget_batches
    return Job.of(read, cut([len(row.input_ids) for row in read.rows], token_budget))


def run_job(engine: Engine, job: Job, *, label: str) -> list[Arrays]:
    """Run every batch, with a progress bar.

    The results do not depend on the engine: each batch runs whole in one instance.

    Args:
        engine: open; it stays open.
        job: what to run.
        label: what the progress bar says.

    Returns:
        For each row, in order, the model's outputs of that row alone, cut to its true length.

    Raises:
        EvaluationError: an output has the wrong shape, or holds NaN or Infinity (the row is named), or
            the runtime cannot run a batch.
        Exception: whatever else a worker raised (KeyboardInterrupt too), as it was, the batch in its notes.
    """
    found: list[Arrays | None] = [None] * len(job.rows)

    def keep(batch: Batch, outputs: Arrays) -> None:
        for index, arrays in rows_of(engine, job, batch, outputs):
            found[index] = arrays

    run_each(engine, job, keep, label=label)
    return complete(found, job)


def rows_of(engine: Engine, job: Job, batch: Batch, outputs: Arrays) -> Iterator[tuple[int, Arrays]]:
    """Yield each row of a batch with its outputs, cut to its true length."""
    for place, index in enumerate(batch.indices):
        yield (
            index,
            tuple(
                # Copied: a slice would keep the whole batch in memory.
                array[place, : len(job.rows[index].input_ids)].copy() if by_position else array[place].copy()
                for array, by_position in zip(outputs, engine.by_position, strict=True)
            ),
        )


def run_each(engine: Engine, job: Job, consume: Callable[[Batch, Arrays], None], *, label: str) -> None:
    """Run every batch and hand its outputs to `consume` in a thread of the engine; nothing else is kept.

    Args:
        engine: open; it stays open. After an error batches may still be running: close it.
        job: what to run.
        consume: takes a batch and the model's outputs of it; called from several threads at once.
        label: what the progress bar says.

    Raises:
        EvaluationError: an output has the wrong shape, or holds NaN or Infinity (the row is named), or
            the runtime cannot run a batch.
        Exception: whatever else a worker raised (KeyboardInterrupt too), as it was, the batch in its notes.
    """

    def take(batch: Batch, outputs: Arrays) -> None:
        for name, array in zip(engine.outputs, outputs, strict=True):
            _check(engine, job, batch, name, array)
        consume(batch, outputs)

    with track(label, len(job.rows), "windows") as advance:
        before = len(job.rows) - sum(len(batch.indices) for batch in job.batches)
        if before:
            advance(before)
        run = _Run(engine, job, take)
        for finished in run.results((batch, job.feeds(batch)) for batch in job.batches):
            advance(len(finished.indices))


def run_once(engine: Engine, job: Job, feeds: Sequence[Feeds]) -> None:
    """Run prepared batches and throw the outputs away: what a benchmark measures.

    Raises:
        EvaluationError: the runtime cannot run a batch.
    """
    run = _Run(engine, job, lambda _batch, _outputs: None)
    for _ in run.results(zip(job.batches, feeds, strict=True)):
        pass


class _Run:
    """Batches on their way through an engine, and what has come of them."""

    def __init__(self, engine: Engine, job: Job, take: Callable[[Batch, Arrays], None]) -> None:
        self._engine = engine
        self._job = job
        self._take = take
        self._over = threading.Event()
        self._done: queue.SimpleQueue[tuple[Batch, BaseException | None]] = queue.SimpleQueue()

    def results(self, batches: Iterable[tuple[Batch, Feeds]]) -> Iterator[Batch]:
        """Submit every batch, and yield each once its outputs were taken.

        Raises:
            BaseException: the first error of a batch. What waits is cancelled; what runs is not taken any more.
        """
        futures: set[Future[Arrays]] = set()
        waiting = 0
        try:
            for batch, feeds in batches:
                future = self._engine.submit(feeds)
                futures.add(future)
                future.add_done_callback(futures.discard)
                future.add_done_callback(functools.partial(self._finish, batch))
                waiting += 1
                while not self._done.empty():
                    yield self._next()
                    waiting -= 1
            for _ in range(waiting):
                yield self._next()
        finally:
            # Nobody wants the rest any more: what waits never starts. After the last batch nothing is left here.
            self._over.set()
            for future in list(futures):
                future.cancel()

    def _finish(self, batch: Batch, future: Future[Arrays]) -> None:
        """Take the outputs of a batch, in the thread that got them."""
        if self._over.is_set() or future.cancelled():
            return
        try:
            self._take(batch, future.result())
        except BatchFailed as error:
            named = error.named(self._job.describe(batch))
            named.__cause__ = error.__cause__
            self._done.put((batch, named))
        except EvaluationError as error:
            self._done.put((batch, error))
        except BaseException as error:  # noqa: BLE001 - raised again by `results`, as it was
            error.add_note(f"in {self._job.describe(batch)}")
            self._done.put((batch, error))
        else:
            self._done.put((batch, None))

    def _next(self) -> Batch:
        batch, error = self._done.get()
        if error is not None:
            raise error
        return batch


def _check(engine: Engine, job: Job, batch: Batch, name: str, array: NDArray[Any]) -> None:
    """Check one output of one batch.

    Raises:
        EvaluationError: its shape is not that of the batch, or a value that counts is NaN or Infinity.
    """
    rows = len(batch.indices)
    by_position = engine.by_position[engine.outputs.index(name)]
    good = array.shape[:2] == (rows, batch.length) if by_position else array.shape[:1] == (rows,)
    if not good:
        raise EvaluationError(
            f"{engine.name}: {name} has shape {list(array.shape)} for {rows} x {batch.length} tokens; "
            "export the model with a dynamic batch and sequence"
        )
    if np.isfinite(array).all():
        return
    for place, index in enumerate(batch.indices):
        cut = array[place, : len(job.rows[index].input_ids)] if by_position else array[place]
        if not np.isfinite(cut).all():
            raise EvaluationError(
                f"{engine.name}: {name} holds NaN or Infinity for {job.name(index)}; "
                "check the model's weights and its quantization ranges"
            )


def complete(found: Sequence[Arrays | None], job: Job) -> list[Arrays]:
    """Return the outputs of every row.

    Raises:
        EvaluationError: a row was lost.
    """
    complete = [arrays for arrays in found if arrays is not None]
    if len(complete) != len(found):
        lost = found.index(None)
        raise EvaluationError(f"{job.name(lost)}: was lost while running; evaluate again, and report this")
    return complete
