"""Confinement: work on files that nobody trusts, done by a process that is bounded in memory and time.

What opens and runs a model, and what cuts text into tokens, are libraries that were not written for hostile files: a
graph may loop without end, a tokenizer may grow text without end, a few bytes may ask for all memory there is. The
process may take so much memory that it writes and so much time, and its parent reads from it bounded, strict JSON.
It is not a sandbox: what takes such a library over has the rights of its user.
"""

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from quantkit import errors
from quantkit.errors import EvaluationError, QuantkitError
from quantkit.files import naming_output_errors
from quantkit.partial import partial_folder
from quantkit.progress import Bars
from quantkit.strict_json import LARGEST, parse_object

GIB = 1 << 30
_KINDS: dict[str, type[QuantkitError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, QuantkitError)
}
_LOG = logging.getLogger(__name__)
_NAME = "quantkit-confined"
_LOOK_SECONDS = 0.25
_END_SECONDS = 5.0
_BOOTSTRAP = """
import json, sys
given = json.loads(sys.argv[1])
sys.path[:] = given["import_path"]
from quantkit.runtime.confined import serve
serve(given)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much the process may take; what is None is derived from the artifacts and the work.

    Attributes:
        seconds: of each piece of work, on the clock of the wall.
        memory_bytes: that the process writes.
    """

    seconds: float | None = None
    memory_bytes: int | None = None

    def memory_for(self, model_bytes: int) -> int:
        """Return the bytes allowed for models of that size: 4 GiB and eight times as much."""
        return self.memory_bytes or 4 * GIB + 8 * model_bytes

    def seconds_for(self, model_bytes: int, questions: int) -> float:
        """Return the seconds allowed for a model and questions: 20 times what a slow core needs, and ten minutes."""
        return self.seconds or 600.0 + questions * (0.5 + model_bytes / 20e6)


@dataclass(kw_only=True)
class Confinement:
    """One process for several pieces of work, started with the first.

    Attributes:
        jobs: the module whose `JOBS` it does.
        memory_bytes: the limit of its memory.
    """

    jobs: str
    memory_bytes: int
    _process: subprocess.Popen[bytes] | None = None
    _connection: Connection | None = None
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def call(self, job: str, arguments: dict[str, Any], *, seconds: float, name: str) -> Any:
        """Have a piece of work done.

        Args:
            job: its name in `JOBS`.
            arguments: JSON.
            seconds: it may take.
            name: what messages call what is worked on.

        Returns:
            The answer: JSON, and not to be believed further than that.

        Raises:
            QuantkitError: the work says so.
            EvaluationError: a limit was reached, or the process broke.
        """
        if self._process is None:
            self._start()
        assert self._connection is not None
        until = time.monotonic() + seconds
        with Bars() as bars:
            try:
                self._connection.send_bytes(json.dumps({"job": job, "arguments": arguments}).encode())
                while True:
                    self._wait(until, seconds, name)
                    answer = parse_object(self._connection.recv_bytes(LARGEST))
                    if "progress" in answer:
                        bars.advance(*answer["progress"])
                    elif "warning" in answer:
                        _LOG.warning("%s", answer["warning"])
                    else:
                        return self._value(answer, name)
            except (EOFError, OSError):
                self._fail(name, self._ended(), option="--memory-limit")
            except (ValueError, TypeError, KeyError):
                self._fail(name, "it gave no answer that can be read")
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the process at once."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self._open.close()

    def __enter__(self) -> "Confinement":
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End the process."""
        self.close()

    def _start(self) -> None:
        """Start it, with a folder of its own for what it leaves."""
        place = Path(tempfile.gettempdir()).resolve()
        with naming_output_errors(place):
            folder = self._open.enter_context(partial_folder(place / _NAME))
        ours, theirs = socket.socketpair()
        specification = {
            "socket": theirs.fileno(),
            "parent": os.getpid(),
            "import_path": sys.path,
            "jobs": self.jobs,
            "memory_bytes": self.memory_bytes,
        }
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-c", _BOOTSTRAP, json.dumps(specification)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # A library's own words are of the file's making.
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
                env={**os.environ, "TMPDIR": os.fspath(folder)},
            )
        self._connection = self._open.enter_context(Connection(ours.detach()))

    def _wait(self, until: float, seconds: float, name: str) -> None:
        """Wait for the process to say something; look at what it takes meanwhile."""
        assert self._connection is not None
        while not self._connection.poll(_LOOK_SECONDS):
            if time.monotonic() > until:
                self._fail(name, f"it took longer than {seconds:,.0f} s", option="--time-limit")
            # Where the system does not hold the limit itself (it does on Linux, but not in every container).
            if self._resident() > self.memory_bytes:
                self._fail(name, f"it took more than {_gib(self.memory_bytes)}", option="--memory-limit")

    def _resident(self) -> int:
        """Return the bytes of memory that the process has to itself."""
        assert self._process is not None
        try:
            fields = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()
            return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return 0

    def _value(self, answer: dict[str, Any], name: str) -> Any:
        if "mistake" in answer:
            kind, text = answer["mistake"]
            raise _KINDS.get(str(kind), QuantkitError)(str(text))
        if "memory" in answer:
            self._fail(name, f"it took more than {_gib(self.memory_bytes)}", option="--memory-limit")
        if "broken" in answer:
            self._fail(name, f"it broke ({answer['broken']})")
        return answer["value"]

    def _ended(self) -> str:
        """Say how the process ended, whose socket is closed."""
        assert self._process is not None
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "it stopped talking"
        if code >= 0:
            return f"it ended with exit code {code}"
        return f"it was ended by {_signal(-code)}, as where more than {_gib(self.memory_bytes)} are asked for"

    def _fail(self, name: str, what: str, *, option: str | None = None) -> NoReturn:
        self.close()
        more = f", or allow more with {option}" if option else ""
        raise EvaluationError(
            f"{name}: was not run to its end, as nobody trusts it: {what}; do not use it{more}"
        )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _gib(count: int) -> str:
    return f"{count / GIB:,.1f} GiB of memory"
