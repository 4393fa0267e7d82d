"""The application: one artifact, the route of its task, health, readiness and metrics."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from quantkit.api.replies import asked
from quantkit.artifact import Artifact
from quantkit.engines import open_engine
from quantkit.errors import EvaluationError, QuantkitError
from quantkit.runtime.hold import hold
from quantkit.runtime.profile import RuntimeProfile
from quantkit.tasks.prepared import Reader
from serving.batcher import Batcher, Full
from serving.limits import Limits, Watch
from serving.metrics import Metrics
from serving.routes import Row, route_of

LOG = logging.getLogger("quantkit.server")


class Server:
    """What is open while requests are taken.

    Attributes:
        metrics: of this server.
        batcher: None before the start and after the end.
        reader: the same.
    """

    def __init__(self, artifact: Artifact, profile: RuntimeProfile, *, wait_ms: float, queue: int) -> None:
        """Make one that is not open yet."""
        self.artifact, self.profile, self.wait_ms, self.queue = artifact, profile, wait_ms, queue
        self.route = route_of(artifact.task)
        self.metrics = Metrics(task=artifact.task, digest=artifact.digest)
        self.batcher: Batcher | None = None
        self.reader: Reader | None = None
        self.metrics.inside.set_function(lambda: self.batcher.inside if self.batcher else 0)
        self.metrics.ready.set_function(lambda: float(self.batcher is not None))

    @contextlib.asynccontextmanager
    async def open(self, _: FastAPI) -> AsyncIterator[None]:
        """Check the artifact's bytes and open its model; at the end, answer all that was asked.

        What is served is a private copy, hashed on the way: a file that is changed later changes nothing.

        Raises:
            ArtifactError: a byte is not what the manifest says, or the model cannot be opened.
            CheckpointError: the tokenizer is missing, or is not the model's.
        """
        with hold(self.artifact) as held:
            reader = Reader.of(held)
            with open_engine(
                held.model_path, outputs=reader.task.outputs, profile=self.profile, name=held.model_name
            ) as engine:
                batcher = Batcher(
                    engine,
                    self.profile,
                    pad_id=reader.tokenizer.pad_id,
                    wait=self.wait_ms / 1000,
                    room=self.queue,
                    metrics=self.metrics,
                )
                dispatching = asyncio.create_task(batcher.dispatch())
                # Whoever watches is told when batches end by a mistake, too.
                dispatching.add_done_callback(lambda _: setattr(self, "batcher", None))
                self.reader, self.batcher = reader, batcher
                yield
                self.batcher = None
                batcher.stop()
                await dispatching

    async def reply(self, rows: list[Row]) -> dict[str, Any]:
        """Return the reply to a request.

        Raises:
            HTTPException: 422 for texts that the model cannot read, 503 when there is no room or the server stops,
                500 when the model cannot answer.
        """
        started = time.perf_counter()
        batcher, reader = self.batcher, self.reader
        if batcher is None or reader is None:
            raise HTTPException(503, "the server starts or stops", headers={"Retry-After": "5"})
        questions = [self.route.ask(number, row) for number, row in enumerate(rows)]
        try:
            prepared = await asyncio.to_thread(reader.prepare, asked(self.artifact.task, questions))
        except QuantkitError as error:
            raise HTTPException(422, str(error)) from error
        try:
            outputs = await batcher.run(prepared.rows)
            found = await asyncio.to_thread(self.route.read, prepared, outputs)
        except Full:
            raise HTTPException(
                503, "too many rows are inside; ask again", headers={"Retry-After": "1"}
            ) from None
        except EvaluationError as error:
            LOG.error("%s", error)
            raise HTTPException(500, "the model could not answer") from error
        truncated = prepared.truncated or 0
        self.metrics.count_rows(sum(row.size() for row in rows), truncated)
        return {
            "rows": found,
            "windows": len(prepared.rows),
            "truncated": truncated,
            "milliseconds": 1000 * (time.perf_counter() - started),
        }


def create_app(
    artifact: Artifact,
    profile: RuntimeProfile,
    *,
    wait_ms: float = 3.0,
    queue: int = 256,
    limits: Limits | None = None,
) -> FastAPI:
    """Return the application; the model is opened when it starts and closed, all answered, when it stops.

    Args:
        artifact: of any task.
        profile: engine, instances, threads and batches.
        wait_ms: how long a row waits for others to share a batch.
        queue: the most windows inside.
        limits: of a request.

    Raises:
        UsageError: the artifact's task has no route.
    """
    limits = limits or Limits()
    server = Server(artifact, profile, wait_ms=wait_ms, queue=queue)
    route = server.route
    app = FastAPI(title=f"quantkit: {artifact.task}", lifespan=server.open)
    app.add_middleware(Watch, path=route.path, limits=limits, metrics=server.metrics)

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        # One line, and without what was sent: it may be long, and it may be private.
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        return JSONResponse({"detail": f"{place}: {first['msg']}"}, status_code=422)

    @app.post(route.path, response_model=route.reply_model)
    async def ask(request: route.request_model) -> dict[str, Any]:  # type: ignore[name-defined]
        limits.check(request.rows)
        return await server.reply(request.rows)

    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def ready() -> dict[str, Any]:
        if server.batcher is None:
            raise HTTPException(503, "the server starts or stops")
        return {
            "status": "ok",
            "task": artifact.task,
            "artifact": artifact.digest,
            "profile": profile.as_json(),
        }

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(server.metrics.text(), media_type=server.metrics.content_type)

    return app
