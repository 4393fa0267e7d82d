"""A run's process: its end, whichever it is, becomes one line; nothing of it outlives the command."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from quantkit.errors import EvaluationError
from quantkit.mlperf import isolation
from quantkit.mlperf.isolation import watch

START = "import json, os, signal, sys, time; from pathlib import Path\n"


def run(code: str, folder: Path) -> dict[str, object]:
    """Run Python code as a run's process."""
    return watch([sys.executable, "-c", START + code], folder, label="offline accuracy", expected=3)


def test_outcome(tmp_path: Path) -> None:
    """The outcome is what the process wrote; other lines on its stdout do no harm."""
    code = "print('answered 2\\nanswered x\\nnoise'); Path('outcome.json').write_text('{\"answered\": 3}')"
    assert run(code, tmp_path) == {"answered": 3}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL before the run was done; run it again"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        ("sys.exit(5)", "ended with code 5"),
        ("sys.exit('out of luck')", r"ended with code 1 before the run was done \(out of luck\)"),
        ("Path('outcome.json').write_text('{')", "ended with code 0 before"),
        (
            'Path(\'outcome.json\').write_text(\'{"error": "m: cannot run", "mistake": true}\'); sys.exit(2)',
            "offline accuracy: m: cannot run$",
        ),
        (
            'Path(\'outcome.json\').write_text(\'{"error": "TypeError: x", "mistake": false}\')',
            "TypeError: x; report this",
        ),
        (
            "Path('outcome.json').write_text('{\"answered\": 3}'); os.kill(os.getpid(), signal.SIGKILL)",
            "ended by SIGKILL",
        ),
    ],
)
def test_a_bad_end_is_one_line(tmp_path: Path, code: str, said: str) -> None:
    """Killed, crashed, or ended too early: one line says how, and which run."""
    with pytest.raises(EvaluationError, match=said) as caught:
        run(code, tmp_path)
    assert "\n" not in str(caught.value)


def test_it_runs_in_its_own_folder(tmp_path: Path) -> None:
    """The current folder of a run is its own, so that no audit.config of the user's is read."""
    run("Path('outcome.json').write_text(json.dumps({'where': os.getcwd()}))", tmp_path)
    assert (tmp_path / "outcome.json").is_file()


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    """A process that the run's process left behind, holding its pipes, neither hangs the command nor outlives it."""
    code = (
        "import subprocess; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "Path('pid').write_text(str(p.pid)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(EvaluationError, match="SIGKILL"):
        run(code, tmp_path)
    assert is_gone(int((tmp_path / "pid").read_text()))


class Clock:
    """Seconds that pass with answers, 0.15 with each, and by themselves only after the last of them."""

    def __init__(self, answers: int) -> None:
        self.left, self.now, self.last = answers, 0.0, 0.0

    @contextlib.contextmanager
    def track(self, *_: object) -> Iterator[Callable[[int], None]]:
        """Stand for the progress bar, which is told of every answer."""
        yield self.answer

    def answer(self, count: int) -> None:
        """Note so many answers."""
        self.left -= count
        self.now += 0.15 * count
        self.last = self.now

    def monotonic(self) -> float:
        """Return the seconds."""
        if self.left == 0:
            self.now += 0.05
        return self.now


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that answers nothing for too long is given up, counted from the last answer and not from the start."""
    code = (
        "Path('pid').write_text(str(os.getpid()))\n"
        "for n in range(1, 9): print('answered', n, flush=True)\n"
        "while True: print('answered 8', flush=True); time.sleep(0.2)"
    )
    command = [sys.executable, "-c", START + code]
    clock = Clock(answers=8)
    monkeypatch.setattr(isolation, "time", clock)
    monkeypatch.setattr(isolation, "track", clock.track)
    with pytest.raises(EvaluationError, match=r"answered nothing for 0\.2 s and was ended"):
        watch(command, tmp_path, label="offline accuracy", expected=3, patience=0.2)
    assert clock.left == 0
    assert clock.now - clock.last > 0.2
    assert is_gone(int((tmp_path / "pid").read_text()))


def is_gone(pid: int, seconds: float = 600) -> bool:
    """Tell whether a process ends soon; one that ended and that nobody asked about counts."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False
