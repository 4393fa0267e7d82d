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
from pathlib import Path

from quantkit.runtime.engine.engine import WAITING, Closing, Feeds, cannot_run
from quantkit.runtime.engine.variant import can_pin, check_full, engine_folder, opened_path
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import Arrays, SessionOptions, StopSignal, first_line
from quantkit.runtime.sessions import REFUSALS, Running, open_session
from quantkit.runtime.topology import place, this_topology


class ThreadEngine(Closing):
    """Sessions, and a thread for each batch that runs; see `Engine`."""

    def __init__(
        self,
        sessions: Sequence[Running],
        *,
        equal_lengths: bool = False,
        cpus: Sequence[tuple[int, ...]] = (),
    ) -> None:
        """Take sessions.

        Args:
            sessions: one for each worker: `[session] * workers` of a one-thread session.
            equal_lengths: their graph reads no mask, and a batch with padding is refused.
            cpus: for each worker, what its thread is bound to; none for any.
        """
        first = sessions[0]
        self.name = first.name
        self.outputs = first.outputs
        self.by_position = first.by_position
        self.workers = len(sessions)
        self.ran_seconds = 0.0
        self._equal_lengths = equal_lengths
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
            return session.run(feeds, self._stop)
        except REFUSALS as error:
            raise cannot_run(self.name, feeds, first_line(error)) from error
        finally:
            ran = time.perf_counter() - started
            self._free.put(session)
            with self._lock:
                self.ran_seconds += ran


def open_threads(
    path: Path, *, outputs: tuple[str, ...], profile: RuntimeProfile, name: str | None
) -> ThreadEngine:
    """Open the sessions of a profile in this process; see `open_engine`."""
    options = SessionOptions(spinning=profile.spinning, arena=profile.arena)

    with engine_folder() as folder:
        opened = opened_path(path, profile, folder)
        sessions = [
            open_session(
                profile.runtime,
                opened,
                outputs=outputs,
                threads=profile.threads,
                options=options,
                name=name or str(path),
            )
            for _ in range(1 if profile.threads == 1 else profile.instances)
        ]
    # Open sessions need no file: what they have mapped of it stays.
    shutil.rmtree(folder, ignore_errors=True)
    if profile.threads > 1:
        # The threads inside a session are onnxruntime's own, and stay free.
        return ThreadEngine(sessions, equal_lengths=profile.equal_lengths)
    placement = place(this_topology(), profile.instances, 1, 0)
    return ThreadEngine(
        sessions * profile.instances,
        equal_lengths=profile.equal_lengths,
        cpus=placement.cpus if can_pin(profile) else (),
    )
