"""A confined process is bounded, ends with its parent, and its answers are read as what they are: a stranger's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantkit.errors import ArtifactError, EvaluationError
from quantkit.runtime.confinement import GIB, Confinement, Limits

JOBS = """
import os, signal, time, threading
from pathlib import Path
from quantkit.errors import ArtifactError
import logging

def wait(given):
    Path(given["file"]).write_text(str(os.getpid()))
    time.sleep(600)

def mistake(given):
    logging.getLogger("quantkit.x").warning("look: %s", "here")
    raise ArtifactError("x: is none")

JOBS = {
    "echo": lambda given: given,
    "wait": wait,
    "take": lambda given: len(bytearray(2 << 30)),
    "break": lambda given: 1 / 0,
    "abort": lambda given: os.abort(),
    "exit": lambda given: os._exit(0),
    "mistake": mistake,
    "strange": lambda given: float("nan"),
    "deep": lambda given: eval("[" * 150 + "]" * 150),
    "write": lambda given: Path("large").write_bytes(b"x" * (1 << 20)) and os.truncate("large", 2 << 30),
}
"""


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Confinement]:
    (tmp_path / "some_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Confinement(jobs="some_jobs", memory_bytes=GIB // 2) as process:
        yield process


def test_answers_mistakes_and_warnings(confined: Confinement, caplog: pytest.LogCaptureFixture) -> None:
    """One process does one piece of work after another; mistakes and warnings are those of the work."""
    for value in ({"a": [1, "ü"]}, {}):
        assert confined.call("echo", value, seconds=600, name="m") == value
    with pytest.raises(ArtifactError, match=r"^x: is none$"):
        confined.call("mistake", {}, seconds=600, name="m")
    assert caplog.messages == ["look: here"]
    confined.close()
    assert not list(Path().glob(".quantkit-*"))
    assert confined.call("echo", {"b": 1}, seconds=600, name="m") == {"b": 1}


@pytest.mark.parametrize(
    ("job", "line"),
    [
        ("wait", "it took longer than 1 s; do not use it, or allow more with --time-limit"),
        ("take", "it took more than 0.5 GiB of memory; do not use it, or allow more with --memory-limit"),
        ("break", "it broke .ZeroDivisionError: division by zero.; do not use it"),
        ("abort", "it was ended by SIGABRT, as where more than 0.5 GiB of memory are asked for"),
        ("exit", "it ended with exit code 0"),
        ("strange", "it gave no answer that can be read"),
        ("deep", "it gave no answer that can be read"),
        ("write", "it broke .OSError: .Errno 27. File too large"),
    ],
)
def test_what_goes_wrong_is_one_line(confined: Confinement, job: str, line: str) -> None:
    """Time, memory, files, a crash, nonsense: an error that names what was run, and the process is gone."""
    with pytest.raises(EvaluationError, match=f"^m: was not run to its end, as nobody trusts it: {line}"):
        confined.call(job, {"file": "pid"}, seconds=1 if job == "wait" else 600, name="m")
    assert not list(Path().glob(".quantkit-*"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_parent(confined: Confinement, number: signal.Signals) -> None:
    """Whichever way the parent ends, nothing goes on."""
    code = (
        "from quantkit.runtime.confinement import Confinement\n"
        "with Confinement(jobs='some_jobs', memory_bytes=1 << 29) as process:\n"
        "    process.call('wait', {'file': 'pid'}, seconds=600, name='m')\n"
    )
    paths = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": paths}
    )
    said = Path("pid")
    while not (said.exists() and said.read_text()) and parent.poll() is None:
        time.sleep(0.02)
    child = int(said.read_text())
    parent.send_signal(number)
    assert parent.wait() != 0
    while _runs(child):  # the test's own timeout ends what hangs
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_limits_follow_the_work() -> None:
    """What is not said is derived from the size of the models and the number of questions."""
    assert Limits().memory_for(0) == 4 * GIB
    assert Limits().memory_for(10**9) == 4 * GIB + 8 * 10**9
    assert Limits().seconds_for(20_000_000, 100) == 750
    said = Limits(seconds=5, memory_bytes=7)
    assert (said.seconds_for(10**9, 10**4), said.memory_for(10**9)) == (5, 7)
