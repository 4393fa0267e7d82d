"""What engines with instances of their own have alike: batches wait in line, and each is answered once.

    submit ──> waiting ──> an instance ──> answer ──> future

Which instance gets which batch, and what happens when one ends, is the engine's own.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from quantkit.errors import EvaluationError
from quantkit.runtime.engine.child import mistake
from quantkit.runtime.engine.engine import WAITING, Closing, Feeds, cannot_run, check_full, describe
from quantkit.runtime.session import Arrays

_Instance = TypeVar("_Instance")


@dataclass(eq=False, kw_only=True, slots=True)
class Task:
    """A batch, from `submit` to its answer.

    Attributes:
        deaths: instances that ended while they were to run it.
        begun: it is somebody's, and cannot be cancelled any more.
    """

    feeds: Feeds
    future: Future[Arrays]
    deaths: int = 0
    begun: bool = False

    def begin(self) -> bool:
        """Return whether it is still wanted; from now on it cannot be cancelled."""
        self.begun = self.begun or self.future.set_running_or_notify_cancel()
        return self.begun


Failed = tuple[Task, BaseException]
"""A batch that will have no answer, and why."""


class QueuedEngine(Closing):
    """The line of batches of an engine; see `Engine`. What is below `_lock` is read and written with it held."""

    def __init__(self, name: str, *, workers: int, equal_lengths: bool) -> None:
        """Begin with an empty line.

        Args:
            name: what messages call the model.
            workers: how many batches run at once.
            equal_lengths: a batch with padding is refused.
        """
        self.name = name
        self.workers = workers
        self._equal_lengths = equal_lengths
        self._room = threading.Semaphore(WAITING * workers)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[Task] = deque()
        self._unanswered = 0
        self._closed = False
        self._ending = False
        self._fault: str | None = None
        self._threads: list[threading.Thread] = []

    def submit(self, feeds: Feeds) -> Future[Arrays]:
        """Take a batch; see `Engine.submit`."""
        if self._equal_lengths:
            check_full(self.name, feeds)
        self._room.acquire()
        task = Task(feeds=feeds, future=Future())
        with self._lock:
            refusal = self._refusal()
            if refusal is None:
                task.future.add_done_callback(self._answered)
                self._unanswered += 1
                self._waiting.append(task)
                failed = self._dispatch()
        if refusal is not None:
            self._room.release()
            raise refusal
        fail(failed)
        return task.future

    def _start_threads(
        self, serve: Callable[[_Instance], None], instances: Iterable[_Instance], *, name: str
    ) -> None:
        """Let a thread serve each instance, until the engine ends."""
        self._threads = [
            threading.Thread(target=serve, args=(instance,), name=name, daemon=True) for instance in instances
        ]
        for thread in self._threads:
            thread.start()

    def _stop_taking(self, *, abandon: bool) -> list[Task]:
        """Take no more batches; the lock is held.

        Returns:
            With `abandon` the batches that wait, which nobody will run.
        """
        self._closed = True
        if not abandon:
            return []
        self._ending = True
        lost = list(self._waiting)
        self._waiting.clear()
        return lost

    def _dispatch(self) -> list[Failed]:
        """See to it that waiting batches are given to instances; the lock is held.

        Returns:
            Batches that cannot be given to any: their futures are set without the lock.
        """
        raise NotImplementedError

    def _refusal(self) -> Exception | None:
        if self._fault is not None:
            return EvaluationError(self._fault)
        return RuntimeError(f"{self.name}: the engine is closed") if self._closed else None

    def _was_closed(self) -> EvaluationError:
        return EvaluationError(f"{self.name}: the engine was closed")

    def _answered(self, _: Future[Arrays]) -> None:
        """Make room for another batch: this one has an answer, or was cancelled."""
        self._room.release()
        with self._lock:
            self._unanswered -= 1
            self._changed.notify_all()

    def _error(self, task: Task, answer: dict[str, Any]) -> BaseException:
        """Return what an instance's answer without outputs tells of (see `quantkit.runtime.sessions.told`)."""
        if "refused" in answer:
            return cannot_run(self.name, task.feeds, answer["refused"])
        if "mistake" in answer:
            return mistake(answer)
        error = RuntimeError(f"{self.name}: an instance failed in {describe(task.feeds)}")
        error.add_note(answer["broken"])
        return error


def fail(failed: Iterable[Failed]) -> None:
    """Set errors, never with the lock held: the callbacks of a future take it."""
    for task, error in failed:
        if task.begin() and not task.future.done():
            task.future.set_exception(error)
