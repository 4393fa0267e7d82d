"""A workload of a few rows in front of an engine whose speed is chosen."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job
from quantkit.throughput.workload import Workload


class FakeEngine:
    """Answers every batch after a fixed time, `workers` at once; keeps the shapes it was given."""

    name, outputs, by_position = "fake", ("logits",), (True,)

    def __init__(self, seconds: float, workers: int, error: Exception | None = None) -> None:
        self.seconds, self.workers, self.error = seconds, workers, error
        self.shapes: list[tuple[int, ...]] = []

    def submit(self, feeds: Any) -> Future[Any]:
        """Take a batch."""
        self.shapes.append(feeds["input_ids"].shape)
        future: Future[Any] = Future()
        if self.seconds == 0:
            self._answer(future)
        else:
            threading.Thread(target=self._answer, args=(future,)).start()
        return future

    def _answer(self, future: Future[Any]) -> None:
        time.sleep(self.seconds)
        if self.error:
            future.set_exception(self.error)
        else:
            future.set_result(())


@pytest.fixture
def make_load() -> Callable[..., Workload]:
    """Return what makes a workload of rows of 4, 5, 6, 4, 5, … tokens."""

    def make(
        rows: int, *, seconds: float = 0.0, workers: int = 1, error: Exception | None = None, **profile: Any
    ) -> Workload:
        windows = [
            SimpleNamespace(input_ids=np.ones(4 + row % 3, np.int64), token_type_ids=np.zeros(4 + row % 3))
            for row in range(rows)
        ]
        chosen = RuntimeProfile(**{"instances": workers, "token_budget": 24, **profile})
        lengths = [len(window.input_ids) for window in windows]
        job: Any = Job(rows=windows, batches=chosen.batches(lengths), pad_id=0, name=str)
        feeds = [job.feeds(batch) for batch in job.batches]
        engine: Any = FakeEngine(seconds, workers, error)
        return Workload(engine=engine, profile=chosen, job=job, feeds=feeds)

    return make
