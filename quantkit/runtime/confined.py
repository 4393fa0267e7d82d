"""The process that works on what nobody trusts: bounded in memory, and told by its parent when its time is up.

It is started with a specification on its command line and one end of a socket. Requests and answers are JSON. Whatever
the libraries in it print goes nowhere; warnings and progress of quantkit's own are told to the parent.
"""

import contextlib
import ctypes
import importlib
import json
import logging
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from quantkit import progress
from quantkit.errors import QuantkitError

Job = Callable[[dict[str, Any]], Any]
"""Works on JSON, gives JSON."""
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
_MOST_WARNINGS = 100
_FIRST_TO_GO = "1000"  # when the machine itself runs out of memory


def serve(specification: dict[str, Any]) -> None:
    """Do what is asked (see `quantkit.runtime.confinement`) until nobody is there to ask."""
    # Ctrl-C is for the parent, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with(specification["parent"])
    connection = Connection(specification["socket"])
    _tell(connection)
    module = importlib.import_module(specification["jobs"])
    jobs: dict[str, Job] = module.JOBS
    # Only now: what is imported is quantkit's own choice, and large.
    _limit(specification["memory_bytes"])
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        _send(connection, _answer(jobs[request["job"]], request["arguments"]))


def _answer(job: Job, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": job(arguments)}
    except QuantkitError as error:
        return {"mistake": [type(error).__name__, str(error)]}
    except MemoryError:
        return {"memory": True}
    except Exception as error:  # noqa: BLE001 - told to the other side, whatever a hostile file made of it
        return {"broken": f"{type(error).__name__}: {error}"[:500]}


def _end_with(parent: int) -> None:
    """End at once when the parent does, whichever way that ended; native code that never returns is ended too."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _limit(memory_bytes: int) -> None:
    """Bound what this process may take: memory that it writes, files, no dump of it."""
    for kind, most in (
        # Not RLIMIT_AS: address space that is only reserved, and weights mapped from a file, cost nothing.
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, memory_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
    with contextlib.suppress(OSError):  # a system without it
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")


def _tell(connection: Connection) -> None:
    """Send warnings and progress of quantkit's own to the parent."""

    class Teller(logging.Handler):
        left = _MOST_WARNINGS

        def emit(self, record: logging.LogRecord) -> None:
            if self.left:
                self.left -= 1
                _send(connection, {"warning": record.getMessage()})

    logging.getLogger("quantkit").addHandler(Teller(logging.WARNING))
    progress.tell(lambda *step: _send(connection, {"progress": step}))


def _send(connection: Connection, content: dict[str, Any]) -> None:
    try:
        connection.send_bytes(json.dumps(content).encode())
    except OSError:
        os._exit(1)
