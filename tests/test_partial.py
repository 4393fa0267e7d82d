"""What is on its way: cleared away only when its maker is dead, and put in place so that a kill costs nothing."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quantkit import partial
from quantkit.files import new_folder
from quantkit.partial import PARTIAL, exchange, partial_folder, remove_abandoned

ROOT = Path(__file__).resolve().parent.parent
# Is on its way to the folder in argv until it is killed.
KILLED_AT_WORK = """
import sys, time
from pathlib import Path
from quantkit.files import new_folder

with new_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print("at work", flush=True)
    time.sleep(600)
"""
# Replaces the folder in argv by a new one, and is killed before the step in argv: a call that changes a file system,
# or the look-up of the one that lets two folders change places.
KILLED = """
import os, signal, sys
from pathlib import Path
from quantkit import files, partial

STEPS = ("os.rename", "os.mkdir", "os.chmod", "os.rmdir", "os.remove", "shutil.rmtree", "ctypes.dlsym", "ctypes.dlopen")
left = int(sys.argv[2])

def count(event, arguments):
    global left
    if event in STEPS:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[3] == "aside":
    files.exchange = lambda one, other: False
sys.addaudithook(count)
with files.new_folder(Path(sys.argv[1]), force=True) as folder:
    for name in ("manifest.json", "model.onnx"):
        (folder / name).write_text("new")
"""


def fill(folder: Path, content: str, *, artifact: bool = True) -> None:
    folder.mkdir()
    for name in ("manifest.json", "model.onnx") if artifact else ("letters", "photos"):
        (folder / name).write_text(content)


def contents(folder: Path) -> set[str]:
    """Return what its two files hold, or nothing when it is not whole."""
    files = [path.read_text() for path in folder.iterdir()] if folder.is_dir() else []
    return set(files) if len(files) == 2 else set()


@pytest.mark.parametrize(
    ("artifact", "how"), [(True, "exchange"), (True, "aside"), (False, "exchange"), (False, "aside")]
)
def test_killed_before_any_step(tmp_path: Path, artifact: bool, how: str) -> None:
    """Old or new is whole, in its place where folders can change places; cleaning up and the next one lose nothing."""
    kills, finished = 0, False
    for step in range(100):
        place = tmp_path / str(step)
        place.mkdir()
        fill(place / "out", "old", artifact=artifact)
        arguments = [sys.executable, "-c", KILLED, str(place / "out"), str(step), how]
        done = subprocess.run(
            arguments, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, capture_output=True
        )
        finished = done.returncode == 0
        kills += done.returncode == -signal.SIGKILL
        assert finished or done.returncode == -signal.SIGKILL, done.stderr.decode()
        remove_abandoned(place)
        aside = [contents(path) for path in place.glob("out.before-*")]
        if artifact and how == "exchange":
            assert contents(place / "out") in ({"old"}, {"new"})
        else:
            assert contents(place / "out") in ({"old"}, {"new"}) or aside == [{"old"}]
        if not artifact:
            assert {"old"} in (contents(place / "out"), *aside)
        with new_folder(place / "out", force=True) as folder:
            for name in ("manifest.json", "model.onnx"):
                (folder / name).write_text("newer")
        assert contents(place / "out") == {"newer"}
        assert list(place.glob(f".*{PARTIAL}*")) == []
        if finished:
            break
    assert finished
    assert kills >= 4


def test_exchange_is_one_step_here(tmp_path: Path) -> None:
    """Both keep what they hold, and each has the other's name."""
    fill(tmp_path / "one", "1")
    fill(tmp_path / "other", "2")
    if not exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system cannot let two folders change places")
    assert (contents(tmp_path / "one"), contents(tmp_path / "other")) == ({"2"}, {"1"})


def test_a_system_that_cannot_exchange_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library without the call is no error; a folder that is not there is one."""

    class Library:
        def __init__(self, *given: object, **options: object) -> None:
            pass

    fill(tmp_path / "one", "1")
    with contextlib.suppress(FileNotFoundError):
        assert not exchange(tmp_path / "one", tmp_path / "gone")
    monkeypatch.setattr(partial.ctypes, "CDLL", Library)
    assert not exchange(tmp_path / "one", tmp_path / "one")


def test_who_is_at_work_is_left_alone(tmp_path: Path) -> None:
    """A folder on its way is locked; without its maker it goes, with all it holds."""
    with partial_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("half")
        remove_abandoned(tmp_path)
        assert (folder / "file").read_text() == "half"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / f".out{PARTIAL}dead").mkdir()
    (tmp_path / f".file{PARTIAL}dead").write_text("half")
    remove_abandoned(tmp_path, {"out"})
    assert [path.name for path in tmp_path.iterdir()] == [f".file{PARTIAL}dead"]
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_next_maker_clears_away_what_a_killed_one_left(tmp_path: Path) -> None:
    """Whoever makes the same folder leaves a maker at work alone, and removes its folder once it was killed."""
    others = tmp_path / f".other{PARTIAL}dead"
    others.mkdir()
    arguments = [sys.executable, "-c", KILLED_AT_WORK, str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            (left,) = tmp_path.glob(f".out{PARTIAL}*")
            with new_folder(tmp_path / "out"):
                assert (left / "half").is_file()
        finally:
            child.kill()
    assert left.is_dir()
    with new_folder(tmp_path / "out"):
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == [others, tmp_path / "out"]


def test_links_and_pipes_stay(tmp_path: Path) -> None:
    """Nothing here makes them, no link is followed, and nobody waits for a writer."""
    (tmp_path / "mine").mkdir()
    (tmp_path / f".a{PARTIAL}x").symlink_to(tmp_path / "mine")
    remove_abandoned(tmp_path)
    assert (tmp_path / "mine").is_dir()
    assert (tmp_path / f".a{PARTIAL}x").is_symlink()


def test_without_locks_nothing_is_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be told whether the maker lives, what was left stays; making goes on without."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(partial.fcntl, "flock", refuse)
    (tmp_path / f".out{PARTIAL}dead").mkdir()
    remove_abandoned(tmp_path)
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".out{PARTIAL}dead", "out"]


def test_cleared_before_it_was_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cleaner that comes between making and locking costs the maker another try."""
    original, made = partial.tempfile.mkdtemp, []

    def make(**given: object) -> str:
        made.append(original(**given))  # type: ignore[call-overload]
        if len(made) == 1:
            remove_abandoned(tmp_path)
        return str(made[-1])

    monkeypatch.setattr(partial.tempfile, "mkdtemp", make)
    with partial_folder(tmp_path / "out") as folder:
        assert folder == Path(made[1])
        assert folder.is_dir()
