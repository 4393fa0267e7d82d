"""A process for one LoadGen run: started in an empty folder, watched, and told of in one line when it fails."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import quantkit
from quantkit.errors import EvaluationError
from quantkit.mlperf.loadgen_job import OUTCOME, LoadgenJob
from quantkit.progress import track
from quantkit.strict_json import parse_object

_STDERR = "stderr.txt"
_ANSWERED = re.compile(rb"^answered (\d+)$")
_GRACE_SECONDS = 5.0
PATIENCE_SECONDS = 900.0
"""A run that answers nothing for so long hangs: opening the largest model, or one batch of it, takes minutes."""


def run_alone(job: LoadgenJob, folder: Path, *, expected: int) -> dict[str, Any]:
    """Do a run in a process of its own.

    Args:
        job: the run.
        folder: empty, for this run alone; LoadGen's logs are in its `logs` afterwards.
        expected: how many queries will be answered, for the progress bar.

    Returns:
        The outcome, as the process wrote it.

    Raises:
        EvaluationError: the run failed, or its process ended before it was done.
    """
    path = job.write(folder)
    command = [sys.executable, "-m", "quantkit.mlperf.loadgen_run", os.fspath(path)]
    return watch(command, folder, label=job.label, expected=expected)


def watch(
    command: Sequence[str], folder: Path, *, label: str, expected: int, patience: float = PATIENCE_SECONDS
) -> dict[str, Any]:
    """Run a command that writes `outcome.json` into its folder; see `run_alone`.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        label: what errors and the progress bar call it.
        expected: how many queries will be answered.
        patience: seconds without any answer after which it is given up.
    """
    with (folder / _STDERR).open("wb") as errors, track(label, expected, "samples") as advance:
        process = _start(command, folder, errors)
        assert process.stdout is not None
        # Read beside waiting: the pipe stays open as long as anything that the process started lives.
        progress = _Progress(process.stdout, advance)
        progress.start()
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(1.0, patience))
                if progress.idle_seconds > patience:
                    raise EvaluationError(
                        f"{label}: answered nothing for {patience:g} s and was ended; "
                        "choose fewer instances or a smaller token budget"
                    )
        finally:
            _end(process)
            progress.join(_GRACE_SECONDS)
    return _outcome(folder, process.returncode, label)


class _Progress(threading.Thread):
    """Reads `answered N` from a process, and shows it."""

    def __init__(self, lines: IO[bytes], advance: Callable[[int], None]) -> None:
        """Take the stream, which is closed at its end, and what is called with the number of new answers."""
        super().__init__(daemon=True)
        self._lines = lines
        self._advance = advance
        self._seen = 0
        self._changed = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last answer, or since the start."""
        return time.monotonic() - self._changed

    def run(self) -> None:
        """Read to the end."""
        with self._lines:
            for line in self._lines:
                match = _ANSWERED.match(line.rstrip())
                if match and int(match[1]) > self._seen:
                    self._advance(int(match[1]) - self._seen)
                    self._seen = int(match[1])
                    self._changed = time.monotonic()


def _start(command: Sequence[str], folder: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, so that it can be ended with all it started."""
    # The process has another current folder, and must find the same package.
    paths = [os.fspath(Path(quantkit.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(  # noqa: S603 - our own program
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process, and whatever of its session is left: an engine's process may outlive the one that started it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _outcome(folder: Path, code: int, label: str) -> dict[str, Any]:
    try:
        outcome = parse_object((folder / OUTCOME).read_bytes())
    except (FileNotFoundError, ValueError):
        raise EvaluationError(f"{label}: {_ending(code)}{_last_line(folder)}; run it again") from None
    if "error" in outcome:
        advice = "" if outcome.get("mistake") else "; report this"
        raise EvaluationError(f"{label}: {outcome['error']}{advice}")
    if code != 0:
        raise EvaluationError(f"{label}: {_ending(code)}{_last_line(folder)}; run it again")
    return outcome


def _ending(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"its process was ended by {signal.Signals(-code).name} before the run was done"
    return f"its process ended with code {code} before the run was done"


def _last_line(folder: Path) -> str:
    lines = (folder / _STDERR).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f" ({lines[-1].strip()})" if lines else ""
