"""Python threads that share sessions: weights are in memory once, and nothing is copied.

A one-thread session runs in the thread that calls it and may be shared by any number of them. A session with several
threads is for one caller at a time, so there is one for each instance then.
"""

import os
import queue
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from quantkit.runtime.engine.engine import WAITING, Closing, Feeds, cannot_run, check_full
from quantkit.runtime.engine.model import Model
from quantkit.runtime.session import ONNXRUNTIME_ERRORS, Arrays, SessionOptions, StopSignal, first_line
from quantkit.runtime.sessions import Reduction, Running, open_session
from quantkit.runtime.topology import place, this_topology


class ThreadEngine(Closing):
    """Sessions, and a thread for each batch that runs; see `Engine`."""

    def __init__(
        self,
        sessions: Sequence[Running],
        *,
        equal_lengths: bool = False,
        cpus: Sequence[tuple[int, ...]] = (),
        reduction: Reduction | None = None,
    ) -> None:
        """Take sessions.

        Args:
            sessions: one for each worker: `[session] * workers` of a one-thread session.
            equal_lengths: their graph reads no mask, and a batch with padding is refused.
            cpus: for each worker, what its thread is bound to; none for any.
            reduction: runs behind every batch, in its thread; see `Model`.
        """
        first = sessions[0]
        self.name = first.name
        self.outputs = first.outputs
        self.by_position = first.by_position if reduction is None else (False,) * len(first.outputs)
        self.workers = len(sessions)
        self.ran_seconds = 0.0
        self._equal_lengths = equal_lengths
        self._reduction = reduction
        self._lock = threading.Lock()
        self._stop = StopSignal()
        self._free: queue.SimpleQueue[Running] = queue.SimpleQueue()
        for session in sessions:
            self._free.put(session)
        self._room = threading.BoundedSemaphore(WAITING * self.workers)
        places: queue.SimpleQueue[tuple[int, ...]] = queue.SimpleQueue()
        for place_of_one in cpus:
            places.put(place_of_one)
        self._pool = ThreadPoolExecutor(
            self.workers,
            thread_name_prefix="quantkit-run",
            # On Linux this binds the calling thread alone, not the process.
            initializer=(lambda: os.sched_setaffinity(0, places.get())) if cpus else None,
        )

    def submit(self, feeds: Feeds) -> Future[Arrays]:
        """Take a batch; see `Engine.submit`."""
        if self._equal_lengths:
            check_full(self.name, feeds)
        self._room.acquire()
        try:
            future = self._pool.submit(self._run, feeds)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future

    def close(self, *, abandon: bool = False) -> None:
        """End the threads; with `abandon`, runs end at their next operator."""
        if abandon:
            self._stop.stop()
        self._pool.shutdown(cancel_futures=abandon)

    def _run(self, feeds: Feeds) -> Arrays:
        session = self._free.get()
        started = time.perf_counter()
        try:
            outputs = session.run(feeds, self._stop)
        except ONNXRUNTIME_ERRORS as error:
            raise cannot_run(self.name, feeds, first_line(error)) from error
        finally:
            ran = time.perf_counter() - started
            self._free.put(session)
            with self._lock:
                self.ran_seconds += ran
        return outputs if self._reduction is None else self._reduction(feeds, outputs)


def open_threads(model: Model) -> ThreadEngine:
    """Open the sessions of a profile in this process; see `open_engine`."""
    profile = model.profile
    options = SessionOptions(spinning=profile.spinning, arena=profile.arena, exact_int8=profile.exact_int8)
    sessions = [
        open_session(
            profile.runtime,
            model.path,
            outputs=model.outputs,
            threads=profile.threads,
            options=options,
            name=model.name,
        )
        for _ in range(1 if profile.threads == 1 else profile.instances)
    ]
    # Open sessions need no file: what they have mapped of it stays.
    shutil.rmtree(model.folder, ignore_errors=True)
    cpus: tuple[tuple[int, ...], ...] = ()
    if profile.threads == 1:
        sessions *= profile.instances
        # The threads inside a session are onnxruntime's own, and stay free.
        cpus = place(this_topology(), profile.instances, 1, 0).cpus if model.can_pin() else ()
    return ThreadEngine(sessions, equal_lengths=profile.equal_lengths, cpus=cpus, reduction=model.reduction)
