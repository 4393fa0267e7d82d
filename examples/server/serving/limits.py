"""What a request may ask for, and the middleware that counts its bytes and its status."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from serving.metrics import Metrics
from serving.routes import Row

TOO_LARGE = 413


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most of a request.

    Attributes:
        rows: rows; each passage of a query is one.
        characters: of one text.
        body_bytes: of the body.
    """

    rows: int = 64
    characters: int = 100_000
    body_bytes: int = 4 << 20

    def check(self, rows: Sequence[Row]) -> None:
        """Refuse a request that is too large.

        Raises:
            HTTPException: 413, with the limit and what was given.
        """
        size = sum(row.size() for row in rows)
        if size > self.rows:
            raise HTTPException(
                TOO_LARGE, f"rows: {size} in one request, at most {self.rows}; send fewer at once"
            )
        for place, row in enumerate(rows):
            longest = max(map(len, row.texts()))
            if longest > self.characters:
                raise HTTPException(
                    TOO_LARGE,
                    f"rows.{place}: a text of {longest} characters, at most {self.characters}; cut it",
                )

    def body_too_large(self) -> str:
        """Return what a body above the limit is told."""
        return f"body: more than {self.body_bytes} bytes; send fewer rows at once"


class Watch:
    """Counts a route's requests by status, and refuses bodies above the limit before they are read whole."""

    def __init__(self, app: Any, *, path: str, limits: Limits, metrics: Metrics) -> None:
        """Wrap an ASGI application."""
        self.app, self.path, self.limits, self.metrics = app, path, limits, metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["path"] != self.path:
            await self.app(scope, receive, send)
            return
        started, status, read = time.perf_counter(), 500, 0

        async def count_bytes() -> Any:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limits.body_bytes:
                raise HTTPException(TOO_LARGE, self.limits.body_too_large())
            return message

        async def note_status(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            length = dict(scope["headers"]).get(b"content-length", b"0")
            if length.isdigit() and int(length) > self.limits.body_bytes:
                refused = JSONResponse({"detail": self.limits.body_too_large()}, status_code=TOO_LARGE)
                await refused(scope, receive, note_status)
            else:
                await self.app(scope, count_bytes, note_status)
        finally:
            self.metrics.count_request(status, time.perf_counter() - started)
