"""All rows through one session: batches by token budget, worker threads, outputs in the order of the rows."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import EvaluationError
from quantkit.progress import track
from quantkit.runtime.batching import Batch, token_budget_batches
from quantkit.runtime.session import (
    ATTENTION_MASK,
    INPUT_IDS,
    ONNXRUNTIME_ERRORS,
    TOKEN_TYPE_IDS,
    Arrays,
    Session,
    StopSignal,
    first_line,
)


class Row(Protocol):
    """What runs: token ids and token types, int64 [tokens] each."""

    @property
    def input_ids(self) -> NDArray[np.int64]:
        """The token ids."""

    @property
    def token_type_ids(self) -> NDArray[np.int64]:
        """The token types."""


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


def plan(rows: Sequence[Row], *, token_budget: int, pad_id: int, name: Callable[[int], str]) -> Job:
    """Return the rows with the batches that a token budget cuts them into."""
    batches = token_budget_batches([len(row.input_ids) for row in rows], token_budget)
    return Job(rows=rows, batches=batches, pad_id=pad_id, name=name)


def run_job(session: Session, job: Job, *, threads: int, label: str) -> list[Arrays]:
    """Run every batch, `threads` of them at once, with a progress bar.

    The results do not depend on `threads`: each batch runs whole in one thread.

    Args:
        session: opened with one thread, unless `threads` is 1.
        job: what to run.
        threads: how many batches run at once.
        label: what the progress bar says.

    Returns:
        For each row, in order, the session's outputs of that row alone, cut to its true length.

    Raises:
        EvaluationError: an output has the wrong shape, or holds NaN or Infinity (the row is named), or
            onnxruntime cannot run a batch.
        Exception: whatever else a worker raised (KeyboardInterrupt too), as it was, the batch in its notes.
    """
    found: list[Arrays | None] = [None] * len(job.rows)

    def keep(batch: Batch, outputs: Arrays) -> None:
        for place, index in enumerate(batch.indices):
            found[index] = tuple(
                # Copied: a slice would keep the whole batch in memory.
                array[place, : len(job.rows[index].input_ids)].copy() if by_position else array[place].copy()
                for array, by_position in zip(outputs, session.by_position, strict=True)
            )

    run_each(session, job, keep, threads=threads, label=label)
    return _complete(found, job)


def run_each(
    session: Session, job: Job, consume: Callable[[Batch, Arrays], None], *, threads: int, label: str
) -> None:
    """Run every batch and hand its outputs to `consume` in the worker's thread; nothing else is kept.

    Args:
        session: opened with one thread, unless `threads` is 1.
        job: what to run.
        consume: takes a batch and the session's outputs of it; called from several threads at once.
        threads: how many batches run at once.
        label: what the progress bar says.

    Raises:
        EvaluationError: an output has the wrong shape, or holds NaN or Infinity (the row is named), or
            onnxruntime cannot run a batch.
        Exception: whatever else a worker raised (KeyboardInterrupt too), as it was, the batch in its notes.
    """
    stop = StopSignal()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="quantkit-run")
    try:
        with track(label, len(job.rows), "features") as advance:
            futures: dict[Future[None], Batch] = {
                pool.submit(_run_batch, session, job, batch, consume, stop): batch for batch in job.batches
            }
            for future in as_completed(futures):
                future.result()
                advance(len(futures.pop(future).indices))
    except BaseException:
        # Nobody wants the rest any more: what runs ends at its next operator, what waits never starts.
        stop.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def run_once(
    session: Session, job: Job, feeds: Sequence[Mapping[str, NDArray[Any]]], *, threads: int
) -> None:
    """Run prepared batches and throw the outputs away: what a benchmark measures.

    Raises:
        EvaluationError: onnxruntime cannot run a batch.
    """
    stop = StopSignal()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="quantkit-run")
    try:
        futures = [
            pool.submit(_infer, session, job, batch, feed, stop)
            for batch, feed in zip(job.batches, feeds, strict=True)
        ]
        for future in as_completed(futures):
            future.result()
    except BaseException:
        stop.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _run_batch(
    session: Session, job: Job, batch: Batch, consume: Callable[[Batch, Arrays], None], stop: StopSignal
) -> None:
    """Run one batch, check its outputs and hand them on."""
    try:
        outputs = _infer(session, job, batch, job.feeds(batch), stop)
        for name, array in zip(session.outputs, outputs, strict=True):
            _check(session, job, batch, name, array)
        consume(batch, outputs)
    except EvaluationError:
        raise
    except BaseException as error:
        error.add_note(f"in {job.describe(batch)}")
        raise


def _infer(
    session: Session, job: Job, batch: Batch, feeds: Mapping[str, NDArray[Any]], stop: StopSignal
) -> Arrays:
    try:
        return session.run(feeds, stop)
    except ONNXRUNTIME_ERRORS as error:
        raise EvaluationError(
            f"{session.name}: onnxruntime cannot run {job.describe(batch)} ({first_line(error)}); "
            "check that the tokenizer and config are the model's own"
        ) from error


def _check(session: Session, job: Job, batch: Batch, name: str, array: NDArray[Any]) -> None:
    """Check one output of one batch.

    Raises:
        EvaluationError: its shape is not that of the batch, or a value that counts is NaN or Infinity.
    """
    rows = len(batch.indices)
    by_position = session.by_position[session.outputs.index(name)]
    good = array.shape[:2] == (rows, batch.length) if by_position else array.shape[:1] == (rows,)
    if not good:
        raise EvaluationError(
            f"{session.name}: {name} has shape {list(array.shape)} for {rows} x {batch.length} tokens; "
            "export the model with a dynamic batch and sequence"
        )
    if np.isfinite(array).all():
        return
    for place, index in enumerate(batch.indices):
        cut = array[place, : len(job.rows[index].input_ids)] if by_position else array[place]
        if not np.isfinite(cut).all():
            raise EvaluationError(
                f"{session.name}: {name} holds NaN or Infinity for {job.name(index)}; "
                "check the model's weights and its quantization ranges"
            )


def _complete(found: Sequence[Arrays | None], job: Job) -> list[Arrays]:
    complete = [arrays for arrays in found if arrays is not None]
    if len(complete) != len(found):
        lost = found.index(None)
        raise EvaluationError(f"{job.name(lost)}: was lost while running; evaluate again, and report this")
    return complete
