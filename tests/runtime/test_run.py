"""Rows come back whole, in order and the same for any number of threads; what goes wrong stops everything."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from token_rows import Row, make_job, make_rows

from quantkit.errors import EvaluationError
from quantkit.runtime import run
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import Job
from quantkit.runtime.session import Arrays, Session, StopSignal

SaveEncoder = Callable[..., Path]
SPAN = ("start_logits", "end_logits")


def rows_with_a_trap(count: int = 60) -> list[Row]:
    """Return rows of which the seventh, and it alone, holds token 39."""
    rows = make_rows(count)
    rows[7].input_ids[0] = 39
    return rows


class Interrupting(Session):
    """A session that raises in its third run; other runs wait until they are stopped."""

    error: BaseException = KeyboardInterrupt()

    def __init__(self, path: Path) -> None:
        super().__init__(path, outputs=SPAN)
        self.runs = 0
        self.lock = threading.Lock()

    def run(self, feeds: Mapping[str, NDArray[Any]], stop: StopSignal | None = None) -> Arrays:
        """Raise in the third run."""
        with self.lock:
            self.runs += 1
            third = self.runs == 3
        if third:
            raise self.error
        return super().run(feeds, stop)


def run_job(session: Session, job: Job, *, threads: int) -> list[Arrays]:
    """Run the job on so many threads."""
    with ThreadEngine([session] * threads) as engine:
        return run.run_job(engine, job, label="")


def run_once(session: Session, job: Job, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> None:
    """Run prepared batches on two threads."""
    with ThreadEngine([session] * 2) as engine:
        run.run_once(engine, job, feeds)


def workers() -> list[threading.Thread]:
    """Return the worker threads that are still alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("quantkit-run")]


def test_same_for_any_number_of_threads(save_encoder: SaveEncoder) -> None:
    """1, 2 and 3 threads give equal bits, although the model's scales depend on the whole batch."""
    session, job = Session(save_encoder(), outputs=SPAN), make_job(rows_with_a_trap())
    one, two, three = (run_job(session, job, threads=threads) for threads in (1, 2, 3))
    for index, row in enumerate(job.rows):
        assert one[index][0].shape == row.input_ids.shape
        for output in (0, 1):
            np.testing.assert_array_equal(one[index][output], two[index][output])
            np.testing.assert_array_equal(one[index][output], three[index][output])


def test_each_row_gets_its_own_output(save_encoder: SaveEncoder) -> None:
    """Row i's output is what the model says of row i's tokens (8-bit rounding aside)."""
    session, rows = Session(save_encoder(), outputs=SPAN), rows_with_a_trap()
    together = run_job(session, make_job(rows), threads=2)
    for index in range(0, len(rows), 9):
        (alone,) = run_job(session, make_job([rows[index]]), threads=1)
        np.testing.assert_allclose(together[index][0], alone[0], atol=0.15)


def test_labels_are_not_cut(save_encoder: SaveEncoder) -> None:
    """Outputs without a sequence keep all their labels, also for rows of one token."""
    session = Session(save_encoder(labels=True), outputs=("label_logits",))
    found = run_job(session, make_job(rows_with_a_trap()), threads=2)
    assert {arrays[0].shape for arrays in found} == {(2,)}


def test_nan_names_the_question(save_encoder: SaveEncoder) -> None:
    """NaN logits are an error that names the one question they answer."""
    session = Session(save_encoder(nan_token=39), outputs=SPAN)
    rows = [Row(np.array([1, 2])), Row(np.array([39]))]
    job = make_job(rows, 2)
    with pytest.raises(EvaluationError, match="start_logits holds NaN or Infinity for question q1"):
        run_job(session, job, threads=2)


def test_token_outside_the_vocabulary(save_encoder: SaveEncoder) -> None:
    """What onnxruntime cannot run is an error of one line that names the batch."""
    job = make_job([Row(np.array([1, 999]))])
    with pytest.raises(EvaluationError, match="1 x 2 tokens that begins with question q0") as caught:
        run_job(Session(save_encoder(), outputs=SPAN), job, threads=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("broken")], ids=["Ctrl-C", "error"])
def test_what_a_worker_raises(save_encoder: SaveEncoder, error: BaseException) -> None:
    """An exception in a worker surfaces as itself, names the batch, and leaves no thread and no more runs."""
    session = Interrupting(save_encoder())
    session.error = error
    job = make_job(rows_with_a_trap(400))
    with pytest.raises(type(error)) as caught:
        run_job(session, job, threads=2)
    assert caught.value is error
    assert "tokens that begins with question q" in error.__notes__[0]
    assert workers() == []
    assert session.runs < len(job.batches)


def test_interrupt_in_the_main_thread(save_encoder: SaveEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while waiting stops the workers before it goes on its way."""

    def interrupted(run: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("quantkit.runtime.run._Run._next", interrupted)
    session = Session(save_encoder(), outputs=SPAN)
    with pytest.raises(KeyboardInterrupt):
        run_job(session, make_job(rows_with_a_trap(400)), threads=2)
    assert workers() == []


def test_run_once(save_encoder: SaveEncoder) -> None:
    """Prepared batches all run, and errors surface there too."""
    session = Interrupting(save_encoder())
    session.error = EvaluationError("broken")
    job = make_job(rows_with_a_trap())
    feeds = [job.feeds(batch) for batch in job.batches]
    with pytest.raises(EvaluationError, match="broken"):
        run_once(session, job, feeds)
    before = session.runs
    run_once(session, job, feeds)
    assert session.runs - before == len(job.batches)
    assert workers() == []


def test_padding() -> None:
    """Rows are padded on the right with the padding token, mask 0 there."""
    rows = [Row(np.array([5, 6, 7])), Row(np.array([8]))]
    job = make_job(rows, 6, pad_id=9)
    feeds = job.feeds(job.batches[0])
    np.testing.assert_array_equal(feeds["input_ids"], [[5, 6, 7], [8, 9, 9]])
    np.testing.assert_array_equal(feeds["attention_mask"], [[1, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(feeds["token_type_ids"], [[0, 0, 0], [0, 0, 0]])
