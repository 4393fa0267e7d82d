"""One process of the engine, seen from its parent: started, given batches, heard, killed."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from quantkit import errors
from quantkit.runtime.engine.model import Model
from quantkit.runtime.instance import END
from quantkit.runtime.session import SessionOptions

# Its path and its cores come before any import: threads that a library starts stay on the cores of their process.
_BOOTSTRAP = """
import json, os, sys
given = json.loads(sys.argv[1])
if given["cores"]:
    os.sched_setaffinity(0, given["cores"])
sys.path[:] = given["import_path"]
from quantkit.runtime.instance import serve
serve(given)
"""
_END_SECONDS = 5.0


class ChildDied(Exception):
    """The process has ended by itself, or was killed; `str(error)` says how."""


class Child:
    """A running process, on its own cores."""

    def __init__(self, model: Model, *, cores: Sequence[int], blocks: Sequence[int], state: int) -> None:
        """Start it; `wait_ready` tells when it has opened the model.

        Args:
            model: what it opens.
            cores: CPUs it is bound to; empty for any.
            blocks: descriptors of the shared blocks that batches lie in.
            state: descriptor of the block where it notes whether it runs a batch.
        """
        ours, theirs = socket.socketpair()
        options = SessionOptions(
            spinning=model.profile.spinning,
            arena=model.profile.arena,
            optimized=model.optimized,
            # What was optimized with it has its weights in that form.
            exact_int8=model.profile.exact_int8 and not model.optimized,
        )
        specification = {
            "socket": theirs.fileno(),
            "parent": os.getpid(),
            "blocks": list(blocks),
            "state": state,
            "cores": list(cores),
            "import_path": sys.path,
            "runtime": model.profile.runtime,
            "path": os.fspath(model.path.resolve()),
            "outputs": model.outputs,
            "threads": model.profile.threads,
            "options": asdict(options),
            "folder": os.fspath(model.folder),
            "name": model.name,
        }
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-c", _BOOTSTRAP, json.dumps(specification)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), state, *blocks),
                # Ctrl-C in a terminal goes to the whole group: only the parent should hear it. Not a session of its
                # own: Linux gives each session the same share of a busy CPU, and instances would push others aside.
                process_group=0,
                # numpy's own threads have nothing to do there.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self) -> tuple[tuple[str, ...], tuple[bool, ...]]:
        """Wait until the model is open; return the outputs, and for each whether it is by position.

        Raises:
            QuantkitError: it cannot be opened.
            ChildDied: the process ended before.
        """
        answer = self.receive()
        if "mistake" in answer:
            raise mistake(answer)
        return tuple(answer["outputs"]), tuple(answer["by_position"])

    def send(self, content: dict[str, Any]) -> None:
        """Send a description of a batch.

        Raises:
            OSError: nobody is there any more.
        """
        self._connection.send_bytes(json.dumps(content).encode())

    def receive(self) -> dict[str, Any]:
        """Wait for an answer.

        Raises:
            ChildDied: the process has ended, and every answer it gave was read.
        """
        try:
            content: dict[str, Any] = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise ChildDied(self._ended()) from None
        return content

    def ask_to_end(self) -> None:
        """Ask it to end once it has answered all it was sent."""
        with contextlib.suppress(OSError):
            self.send(END)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def release(self) -> None:
        """Wait for its end, and close the socket to it; a process that does not end when asked is killed."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._connection.close()

    def _ended(self) -> str:
        """Wait for the end of a process whose socket is closed, and say how it ended."""
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def mistake(answer: dict[str, Any]) -> errors.QuantkitError:
    """Return the user's mistake that an answer tells of."""
    kind, text = answer["mistake"]
    error: errors.QuantkitError = getattr(errors, kind, errors.QuantkitError)(text)
    return error
