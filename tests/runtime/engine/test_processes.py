"""Instances in processes answer each batch exactly once, whatever happens to them."""

import gc
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_rows import Row, make_job, make_rows

from quantkit.engines import open_engine
from quantkit.errors import ArtifactError, EvaluationError
from quantkit.runtime.batching import Batch
from quantkit.runtime.engine import Feeds, ProcessEngine, ThreadEngine
from quantkit.runtime.engine.child import Child
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import run_each, run_job
from quantkit.runtime.session import Arrays, Session

SaveEncoder = Callable[..., Path]
SPAN = ("start_logits", "end_logits")


def make_feeds(*shape: int) -> Feeds:
    """Return a batch of this shape, full of token 1."""
    ids = np.ones(shape, np.int64)
    return {"input_ids": ids, "attention_mask": ids, "token_type_ids": np.zeros_like(ids)}


def processes(instances: int = 2, **changes: Any) -> RuntimeProfile:
    """Return a profile of instances in processes."""
    return RuntimeProfile(instances=instances, engine="processes", **changes)


OpenProcesses = Callable[..., ProcessEngine]


@pytest.fixture
def open_processes(
    save_encoder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenProcesses]:
    """Return a function that opens the tiny encoder in processes; engines are closed, and must leave nothing."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    opened: list[ProcessEngine] = []

    def start(path: Path | None = None, **changes: Any) -> ProcessEngine:
        engine = open_engine(path or save_encoder(), outputs=SPAN, profile=processes(**changes))
        assert isinstance(engine, ProcessEngine)
        opened.append(engine)
        return engine

    yield start
    for engine in opened:
        engine.close(abandon=True)
        assert engine.pids == []
    # onnxruntime leaves a note of its own in the temporary folder.
    assert list(folder.glob("quantkit*")) == []


def running(pid: int) -> bool:
    """Tell whether a process runs: one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("changes", [{}, {"threads": 2}, {"pinned": True}, {"instances": 1}])
def test_same_bits_as_threads(
    save_encoder: SaveEncoder, open_processes: OpenProcesses, changes: dict[str, object]
) -> None:
    """Whatever the instances, threads and cores, every row's outputs are those of one session, bit for bit."""
    path, job = save_encoder(), make_job(make_rows())
    with ThreadEngine([Session(path, outputs=SPAN)]) as one:
        expected = run_job(one, job, label="")
    engine = open_processes(path, **changes)
    assert engine.by_position == (True, True)
    for _ in range(2):
        found = run_job(engine, job, label="")
        for mine, theirs in zip(expected, found, strict=True):
            for output in (0, 1):
                np.testing.assert_array_equal(theirs[output], mine[output])


def test_killed_instances_lose_nothing(open_processes: OpenProcesses) -> None:
    """While instances are killed over and over, each batch is taken exactly once, with its own outputs."""
    engine, job = open_processes(), make_job(make_rows(600), token_budget=32)
    expected = run_job(engine, job, label="")
    over, lock = threading.Event(), threading.Lock()
    taken: Counter[tuple[int, ...]] = Counter()
    dice = random.Random(0)

    def total() -> int:
        with lock:
            return taken.total()

    def kill() -> None:
        spared_until = 0
        while not over.wait(0.02):
            # A batch that lost its instance is first in line: when these were taken it is answered, and no batch is
            # hit twice, which would rightly be an error.
            pids = engine.pids
            if total() >= spared_until and len(pids) == engine.workers:
                spared_until = total() + 4 * engine.workers
                os.kill(dice.choice(pids), signal.SIGKILL)

    def take(batch: Batch, outputs: Arrays) -> None:
        for place, index in enumerate(batch.indices):
            length = len(job.rows[index].input_ids)
            np.testing.assert_array_equal(outputs[0][place, :length], expected[index][0])
        with lock:
            taken[batch.indices] += 1

    killer = threading.Thread(target=kill)
    killer.start()
    rounds = 0
    try:
        while engine.restarts < 3:
            run_each(engine, job, take, label="")
            rounds += 1
    finally:
        over.set()
        killer.join()
    assert taken == {batch.indices: rounds for batch in job.batches}


def test_killed_while_idle(open_processes: OpenProcesses) -> None:
    """An instance that is killed between two runs is there again for the next."""
    engine = open_processes()
    for pid in engine.pids:
        os.kill(pid, signal.SIGKILL)
    assert engine.submit(make_feeds(2, 3)).result(600)[0].shape == (2, 3)
    until(lambda: len(engine.pids) == 2)


def test_batch_that_kills_two_instances(open_processes: OpenProcesses) -> None:
    """A batch is run again once; when its second instance ends too it is an error that names it, and others go on."""
    engine = open_processes(instances=1)
    doomed, other = engine.submit(make_feeds(1000, 1500)), engine.submit(make_feeds(1, 3))
    for deaths in (1, 2):
        # The note of a process that is gone stays until another is started: without `pids` it would be read twice.
        until(lambda: bool(engine.pids) and engine._instances[0].in_a_run)
        os.kill(engine.pids[0], signal.SIGKILL)
        until(lambda: engine.restarts == deaths)  # noqa: B023 - called in this very turn
    message = r"two instances ended \(signal 9\) while they ran a batch of 1000 x 1500 tokens; give the machine more"
    with pytest.raises(EvaluationError, match=message):
        doomed.result(600)
    assert other.result(600)[0].shape == (1, 3)


def test_batch_that_never_began(open_processes: OpenProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch whose instances ended before they began with it is not to blame, and is run in the end."""
    original = Child.wait_ready

    def stopped(self: Child) -> tuple[tuple[str, ...], tuple[bool, ...]]:
        ready = original(self)
        os.kill(self.pid, signal.SIGSTOP)
        return ready

    engine = open_processes(instances=1)
    os.kill(engine.pids[0], signal.SIGSTOP)
    future = engine.submit(make_feeds(1, 2))
    monkeypatch.setattr(Child, "wait_ready", stopped)
    for restarts in (1, 2, 3):
        if restarts == 3:
            monkeypatch.undo()
        until(lambda: bool(engine.pids))
        os.kill(engine.pids[0], signal.SIGKILL)
        until(lambda: engine.restarts == restarts)  # noqa: B023 - called in this very turn
    assert future.result(600)[0].shape == (1, 2)


def test_submit_waits(open_processes: OpenProcesses) -> None:
    """Two batches for each instance may be under way; the next waits until one is answered."""
    engine = open_processes(instances=1)
    (pid,) = engine.pids
    os.kill(pid, signal.SIGSTOP)
    futures = [engine.submit(make_feeds(1, 2)) for _ in range(2)]
    third = threading.Thread(target=lambda: futures.append(engine.submit(make_feeds(1, 2))))
    third.start()
    third.join(0.2)
    assert third.is_alive()
    os.kill(pid, signal.SIGCONT)
    third.join(600)
    assert [future.result(600)[0].shape for future in futures] == [(1, 2)] * 3


def test_nan_passes_through(save_encoder: SaveEncoder, open_processes: OpenProcesses) -> None:
    """NaN comes back as NaN, and a job names the one question."""
    engine = open_processes(save_encoder(nan_token=39))
    rows = [Row(np.array([1, 2])), Row(np.array([39]))]
    with pytest.raises(EvaluationError, match="start_logits holds NaN or Infinity for question q1"):
        run_job(engine, make_job(rows, 2), label="")


def test_refused_batch(open_processes: OpenProcesses) -> None:
    """What onnxruntime refuses is the same error as with threads, and the instance lives on."""
    engine = open_processes()
    job = make_job([Row(np.array([1, 999]))])
    message = r"onnxruntime cannot run the batch of 1 x 2 tokens that begins with question q0 \("
    with pytest.raises(EvaluationError, match=message) as caught:
        run_job(engine, job, label="")
    assert "\n" not in str(caught.value)
    assert engine.restarts == 0
    assert engine.submit(make_feeds(1, 2)).result(600)[0].shape == (1, 2)


def test_broken_request(open_processes: OpenProcesses) -> None:
    """A bug inside an instance is told with its traceback, and ends neither the instance nor the run."""
    engine = open_processes(instances=1)
    feeds = dict(make_feeds(1, 2))
    del feeds["attention_mask"]
    with pytest.raises(RuntimeError, match="an instance failed in a batch of 1 x 2 tokens") as caught:
        engine.submit(feeds).result(600)
    assert "KeyError: 'attention_mask'" in caught.value.__notes__[0]
    assert engine.submit(make_feeds(1, 2)).result(600)[0].shape == (1, 2)


def test_model_that_cannot_be_opened(tmp_path: Path, save_encoder: SaveEncoder) -> None:
    """The error is that of a session in this process, with one instance and with two."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    for instances in (1, 2):
        with pytest.raises(ArtifactError, match=r"broken.onnx: is not an ONNX model"):
            open_engine(broken, outputs=SPAN, profile=processes(instances))
    with pytest.raises(ArtifactError, match="has no output 'answer'"):
        open_engine(save_encoder(), outputs=("answer",), profile=processes())


def test_model_that_went_away(save_encoder: SaveEncoder, open_processes: OpenProcesses) -> None:
    """When no instance can be started again, what waits fails, and so does the next batch: nothing hangs."""
    path = save_encoder()
    engine = open_processes(path, instances=1)
    path.unlink()
    (pid,) = engine.pids
    os.kill(pid, signal.SIGSTOP)
    future = engine.submit(make_feeds(1, 2))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EvaluationError, match="no such model"):
        future.result(600)
    with pytest.raises(EvaluationError, match="no such model"):
        engine.submit(make_feeds(1, 2))


def test_close_waits_for_answers(open_processes: OpenProcesses) -> None:
    """An orderly end answers what was taken; afterwards nothing is taken, and no process is left."""
    engine = open_processes()
    pids = engine.pids
    futures = [engine.submit(make_feeds(3, 4)) for _ in range(4)]
    engine.close()
    assert all(future.done() and future.exception() is None for future in futures)
    assert not any(running(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="the engine is closed"):
        engine.submit(make_feeds(1, 2))


def test_abandoned_batches_fail(open_processes: OpenProcesses) -> None:
    """An engine that is left by an exception ends at once, and every future says so."""
    engine = open_processes()
    pids = engine.pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    futures = [engine.submit(make_feeds(1, 2)) for _ in range(4)]
    with pytest.raises(ValueError, match="enough"), engine:
        raise ValueError("enough")
    for future in futures:
        with pytest.raises(EvaluationError, match="the engine was closed"):
            future.result(0)
    assert not any(running(pid) for pid in pids)


def test_cancelled_batches_are_not_run(open_processes: OpenProcesses) -> None:
    """A future that still waits can be cancelled, and makes room for another."""
    engine = open_processes(instances=1)
    (pid,) = engine.pids
    os.kill(pid, signal.SIGSTOP)
    first = engine.submit(make_feeds(1, 2))
    assert not first.cancel()
    os.kill(pid, signal.SIGCONT)
    assert first.result(600)[0].shape == (1, 2)


def test_no_memory_is_left(open_processes: OpenProcesses) -> None:
    """Shared memory has no name, and no descriptor of it is left after closing."""

    def blocks() -> list[str]:
        gc.collect()
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return [target for link in links if "memfd:quantkit" in (target := str(link.readlink()))]

    before = len(blocks())
    engine = open_processes()
    engine.submit(make_feeds(8, 100)).result(600)
    assert len(blocks()) > before
    engine.close()
    assert len(blocks()) == before
    assert not list(Path("/dev/shm").glob("quantkit*"))


def test_pinned_instances(open_processes: OpenProcesses) -> None:
    """Each pinned instance is bound to the CPUs it was given, and has no others."""
    engine = open_processes(pinned=True)
    assert [tuple(sorted(os.sched_getaffinity(pid))) for pid in engine.pids] == list(engine.placement.cpus)


def test_light_imports(open_processes: OpenProcesses) -> None:
    """An instance loads neither pydantic nor onnx nor torch: it starts fast and stays small."""
    engine = open_processes(instances=1)
    maps = Path(f"/proc/{engine.pids[0]}/maps").read_text()
    assert "onnxruntime" in maps
    for library in ("pydantic_core", "onnx_cpp2py", "libtorch", "tokenizers"):
        assert library not in maps


def test_engine_is_seen_as_the_profile_says(save_encoder: SaveEncoder) -> None:
    """`open_engine` opens what the profile names."""
    with open_engine(save_encoder(), outputs=SPAN, profile=processes()) as engine:
        assert isinstance(engine, ProcessEngine)
        assert engine.workers == 2
    with open_engine(save_encoder(), outputs=SPAN, profile=RuntimeProfile(instances=3)) as threads:
        assert isinstance(threads, ThreadEngine)
        assert threads.workers == 3
