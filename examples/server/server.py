"""A reference server: a published question-answering artifact behind HTTP, batched as its runtime profile says.

    python examples/server/server.py name:1.0.0 --registry registry
    python examples/server/server.py path/to/artifact --port 8000

    POST /answer {"question": "…", "context": "…"}  ->  {"answer", "score", "windows", "milliseconds"}
    GET  /health, GET /metrics

It is an example: one model, one process, no authentication. Needs pip install "quantkit[server]".
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from quantkit.artifact import Artifact
from quantkit.engines import open_engine
from quantkit.errors import EvaluationError, QuantkitError, UsageError
from quantkit.registry import DirectoryRegistry, verify_artifact
from quantkit.runtime.batching import Batch, equal_length_batches, token_budget_batches
from quantkit.runtime.engine import Engine
from quantkit.runtime.hold import hold
from quantkit.runtime.profile import RuntimeProfile, profile_of
from quantkit.runtime.run import Job
from quantkit.tasks import Dataset, Window
from quantkit.tasks.prepared import Reader
from quantkit.tasks.squad import TASK, SquadQuestion

LOG = logging.getLogger("quantkit.server")


class Question(BaseModel):
    """What is asked."""

    question: str = Field(min_length=1, max_length=2_000)
    context: str = Field(min_length=1, max_length=100_000)


class Answer(BaseModel):
    """What is answered; `score` is the share of the model's own probability that agrees with the answer."""

    answer: str
    score: float
    windows: int
    milliseconds: float


class Full(Exception):
    """As many windows are inside as may be, or the server stops."""


@dataclass(eq=False)
class Waiting:
    """One window that waits for its batch."""

    window: Window
    logits: asyncio.Future[tuple[Any, ...]]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """Collects windows until the token budget is full or the oldest has waited long enough; then runs them.

    While two batches an instance are under way nothing is submitted; what arrives meanwhile joins the next batches.
    """

    def __init__(
        self,
        engine: Engine,
        profile: RuntimeProfile,
        pad_id: int,
        wait: float,
        room: int,
        count: Counter[str],
    ) -> None:
        self.engine, self.profile, self.pad_id = engine, profile, pad_id
        self.wait, self.room, self.count = wait, room, count
        self.waiting: list[Waiting] = []
        self.running: set[asyncio.Task[None]] = set()
        self.inside = 0
        self._news = asyncio.Event()
        self._stopping = False

    async def logits(self, windows: Sequence[Window]) -> list[tuple[Any, ...]]:
        """Return the outputs of all windows of a question."""
        if self._stopping or (self.inside and self.inside + len(windows) > self.room):
            self.count["rejected"] += 1
            raise Full
        loop = asyncio.get_running_loop()
        rows = [Waiting(window, loop.create_future()) for window in windows]
        self.inside += len(rows)
        try:
            self.waiting += rows
            self._news.set()
            return await asyncio.gather(*(row.logits for row in rows))
        finally:
            self.inside -= len(rows)

    async def dispatch(self) -> None:
        """Form batches until `stop`, and then until nothing waits any more."""
        try:
            while self.waiting or not self._stopping:
                left = self.waiting[0].since + self.wait - time.perf_counter() if self.waiting else None
                if left is None or (left > 0 and not self._is_full() and not self._stopping):
                    self._news.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), left)
                else:
                    await self._submit()
            await asyncio.gather(*self.running)
        finally:
            # Also when this ends by a mistake of its own: nobody waits for an answer that cannot come.
            self._stopping = True
            self._fail(self.waiting, EvaluationError("the server broke down; start it again"))

    def stop(self) -> None:
        """Let `dispatch` end once everything is answered."""
        self._stopping = True
        self._news.set()

    def _is_full(self) -> bool:
        longest = max(len(row.window.input_ids) for row in self.waiting)
        rows = self.profile.max_batch or len(self.waiting) + 1
        return longest * len(self.waiting) >= self.profile.token_budget or len(self.waiting) >= rows

    async def _submit(self) -> None:
        """Cut what waits into batches and hand the one with the oldest window over; the rest goes on waiting."""
        waiting = self.waiting
        lengths = [len(row.window.input_ids) for row in waiting]
        cut = equal_length_batches if self.profile.equal_lengths else token_budget_batches
        batches = cut(lengths, self.profile.token_budget, self.profile.max_batch)
        batch = next(each for each in batches if 0 in each.indices)
        rows = [waiting[index] for index in batch.indices]
        self.waiting = [row for index, row in enumerate(waiting) if index not in set(batch.indices)]
        whole = Batch(indices=tuple(range(len(rows))), length=batch.length)
        job = Job(rows=[row.window for row in rows], batches=(whole,), pad_id=self.pad_id, name=str)
        self.count.update(batches=1, windows=len(rows), tokens=batch.tokens, padding=batch.tokens)
        self.count.subtract(padding=sum(lengths[index] for index in batch.indices))
        try:
            # This waits while 2 x instances batches are under way: the back-pressure.
            future = await asyncio.to_thread(self.engine.submit, job.feeds(whole))
        except EvaluationError as error:
            self._fail(rows, error)
            return
        task = asyncio.create_task(self._finish(rows, asyncio.wrap_future(future)))
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def _finish(self, rows: list[Waiting], future: asyncio.Future[tuple[Any, ...]]) -> None:
        try:
            outputs = await future
        except EvaluationError as error:
            self._fail(rows, error)
            return
        for place, row in enumerate(rows):
            length = len(row.window.input_ids)
            if not row.logits.done():
                row.logits.set_result(tuple(array[place, :length] for array in outputs))

    def _fail(self, rows: list[Waiting], error: EvaluationError) -> None:
        self.count["failed"] += len(rows)
        for row in rows:
            if not row.logits.done():
                row.logits.set_exception(error)


def create_app(
    artifact: Artifact, profile: RuntimeProfile, *, wait_ms: float = 3.0, queue: int = 256
) -> FastAPI:
    """Return the application; the model is opened when it starts and closed, all answered, when it stops."""
    if artifact.task != TASK.name:
        raise UsageError(f"{artifact.path}: is for {artifact.task}; this server answers questions (squad)")
    with hold(artifact) as held:
        reader = Reader.of(held)
    times: deque[float] = deque(maxlen=1000)
    batchers: list[Batcher] = []
    count: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # An engine that lost an instance opens the model again: it is held as long as it is served.
        with (
            hold(artifact) as held,
            open_engine(
                held.model_path, outputs=TASK.outputs, profile=profile, name=held.model_name
            ) as engine,
        ):
            batcher = Batcher(engine, profile, reader.tokenizer.pad_id, wait_ms / 1000, queue, count)
            batchers.append(batcher)
            dispatching = asyncio.create_task(batcher.dispatch())
            yield
            batchers.clear()
            batcher.stop()
            await dispatching

    app = FastAPI(title="quantkit", lifespan=lifespan)

    @app.post("/answer")
    async def answer(asked: Question) -> Answer:
        if not batchers:
            raise HTTPException(503, "the server stops", headers={"Retry-After": "5"})
        started = time.perf_counter()
        question = SquadQuestion(
            id="asked", group="", context=asked.context, question=asked.question, answers=("",)
        )
        dataset = Dataset(
            name="asked", path=Path("asked"), digest="", source="", task=TASK.name, questions=(question,)
        )
        prepared = await asyncio.to_thread(reader.prepare, dataset)
        try:
            outputs = await batchers[0].logits(prepared.rows)
            text = prepared.predict(outputs)[0].answer
        except Full:
            raise HTTPException(
                503, "too many questions are inside; ask again", headers={"Retry-After": "1"}
            ) from None
        except EvaluationError as error:
            LOG.error("%s", error)
            raise HTTPException(500, "the model could not answer") from error
        agreed = replace(prepared, dataset=replace(dataset, questions=(replace(question, answers=(text,)),)))
        score = agreed.expected_scores(outputs)[0]
        count["answered"] += 1
        times.append(1000 * (time.perf_counter() - started))
        return Answer(answer=text, score=score, windows=len(prepared.rows), milliseconds=times[-1])

    @app.get("/health")
    async def health() -> dict[str, Any]:
        if not batchers:
            raise HTTPException(503, "the server starts or stops")
        return {"status": "ok", "artifact": artifact.digest, "profile": profile.as_json()}

    @app.get("/metrics")
    async def metrics() -> dict[str, Any]:
        points = np.percentile(times, (50, 90, 99)) if times else ()
        return {
            "inside": batchers[0].inside if batchers else 0,
            **{
                name: count[name]
                for name in ("answered", "rejected", "failed", "batches", "windows", "tokens", "padding")
            },
            "mean_batch": count["windows"] / count["batches"] if count["batches"] else 0.0,
            "latency_ms": dict(zip(("p50", "p90", "p99"), map(float, points), strict=False)),
        }

    return app


def open_artifact(source: str, registry: Path, folder: Path) -> Artifact:
    """Return a verified artifact: a folder as it is, or name:version pulled into `folder`."""
    path = Path(source)
    if not path.is_dir():
        return DirectoryRegistry(registry).pull(source, folder / "artifact")
    artifact = Artifact.open(path)
    if not verify_artifact(path).verified:
        LOG.warning("%s: is not published; its bytes are checked, but no gate vouches for them", path)
    return artifact


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; what was asked before is answered."""
    parser = argparse.ArgumentParser(description="Serve a question-answering artifact.")
    parser.add_argument("artifact", help="folder, or name:version in the registry")
    parser.add_argument("--registry", type=Path, default=Path("registry"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--wait-ms", type=float, default=3.0, help="longest wait for others to share a batch")
    parser.add_argument(
        "--queue", type=int, default=256, help="most windows inside; more are refused with 503"
    )
    parser.add_argument(
        "--default-profile", action="store_true", help="ignore the artifact's runtime profile"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # uvicorn raises the signal again once all is answered; this way what was pulled is removed, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with tempfile.TemporaryDirectory() as folder:
            artifact = open_artifact(given.artifact, given.registry, Path(folder))
            profile = RuntimeProfile.here() if given.default_profile else profile_of(artifact)
            app = create_app(artifact, profile, wait_ms=given.wait_ms, queue=given.queue)
            uvicorn.run(app, host=given.host, port=given.port, log_level="warning")
    except QuantkitError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
