"""Windows of many requests in shared batches, as the artifact's runtime profile says."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from quantkit.errors import EvaluationError
from quantkit.runtime.batching import Batch
from quantkit.runtime.engine import Engine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job
from quantkit.tasks import Window
from serving.metrics import Metrics


class Full(Exception):
    """As many windows are inside as may be, or the server stops."""


@dataclass(eq=False)
class Waiting:
    """One window that waits for its batch."""

    window: Window
    outputs: asyncio.Future[tuple[Any, ...]]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Collects windows until the token budget is full or the oldest has waited long enough; then runs them.

    While two batches an instance are under way nothing is submitted; what arrives meanwhile joins the next batches.

    Attributes:
        inside: windows that wait or run.
    """

    def __init__(
        self,
        engine: Engine,
        profile: RuntimeProfile,
        *,
        pad_id: int,
        wait: float,
        room: int,
        metrics: Metrics,
    ) -> None:
        """Make one for an open engine.

        Args:
            engine: it stays open.
            profile: cuts the batches.
            pad_id: the token that fills a window up.
            wait: how long the oldest window waits for others, in seconds.
            room: the most windows inside.
            metrics: are told of every batch.
        """
        self.engine, self.profile, self.pad_id = engine, profile, pad_id
        self.wait, self.room, self.metrics = wait, room, metrics
        self.inside = 0
        self._waiting: list[Waiting] = []
        self._running: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._stopping = False

    async def run(self, windows: Sequence[Window]) -> list[tuple[Any, ...]]:
        """Return the outputs of all windows of a request, in their order.

        Raises:
            Full: there is no room, or the server stops.
            EvaluationError: a batch cannot be run.
        """
        if self._stopping or (self.inside and self.inside + len(windows) > self.room):
            raise Full
        loop = asyncio.get_running_loop()
        rows = [Waiting(window, loop.create_future()) for window in windows]
        self.inside += len(rows)
        try:
            self._waiting += rows
            self._news.set()
            return await asyncio.gather(*(row.outputs for row in rows))
        finally:
            self.inside -= len(rows)

    async def dispatch(self) -> None:
        """Form batches until `stop`, and then until nothing waits any more."""
        try:
            while self._waiting or not self._stopping:
                left = self._waiting[0].since + self.wait - time.perf_counter() if self._waiting else None
                if left is None or (left > 0 and not self._is_full() and not self._stopping):
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), left)
                else:
                    await self._submit()
            await asyncio.gather(*self._running)
        finally:
            # Also when this ends by a mistake of its own: nobody waits for an answer that cannot come.
            self._stopping = True
            self._fail(self._waiting, EvaluationError("the server broke down; start it again"))

    def stop(self) -> None:
        """Let `dispatch` end once everything is answered."""
        self._stopping = True
        self._news.set()

    def _is_full(self) -> bool:
        longest = max(len(row.window.input_ids) for row in self._waiting)
        rows = self.profile.max_batch or len(self._waiting) + 1
        return longest * len(self._waiting) >= self.profile.token_budget or len(self._waiting) >= rows

    async def _submit(self) -> None:
        """Cut what waits into batches and hand the one with the oldest window over; the rest goes on waiting."""
        waiting = self._waiting
        lengths = [len(row.window.input_ids) for row in waiting]
        batch = next(each for each in self.profile.batches(lengths) if 0 in each.indices)
        chosen = set(batch.indices)
        rows = [waiting[index] for index in batch.indices]
        self._waiting = [row for index, row in enumerate(waiting) if index not in chosen]
        whole = Batch(indices=tuple(range(len(rows))), length=batch.length)
        job = Job(rows=[row.window for row in rows], batches=(whole,), pad_id=self.pad_id, name=str)
        self.metrics.count_batch(len(rows), sum(lengths[index] for index in batch.indices), batch.tokens)
        try:
            # This waits while 2 x instances batches are under way: the back-pressure.
            future = await asyncio.to_thread(self.engine.submit, job.feeds(whole))
        except EvaluationError as error:
            self._fail(rows, error)
            return
        task = asyncio.create_task(self._finish(rows, asyncio.wrap_future(future)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _finish(self, rows: list[Waiting], future: asyncio.Future[tuple[Any, ...]]) -> None:
        try:
            outputs = await future
        except EvaluationError as error:
            self._fail(rows, error)
            return
        for place, row in enumerate(rows):
            length = len(row.window.input_ids)
            if not row.outputs.done():
                row.outputs.set_result(
                    tuple(
                        array[place, :length] if by_position else array[place]
                        for array, by_position in zip(outputs, self.engine.by_position, strict=True)
                    )
                )

    def _fail(self, rows: list[Waiting], error: EvaluationError) -> None:
        for row in rows:
            if not row.outputs.done():
                row.outputs.set_exception(error)
