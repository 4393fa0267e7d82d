"""`kill -9` of publish, of pull, and of pull --force, before every step that changes the file system."""

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import RegistryError
from quantkit.partial import PARTIAL
from quantkit.registry import DirectoryRegistry, verify_artifact

pytestmark = pytest.mark.slow

STEPS = frozenset(
    ("ctypes.dlsym", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.copyfile", "shutil.rmtree")
)
_MOST = 200


def killed_before(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed before a step; return whether it was, and not done before."""

    def run() -> None:
        left = step

        def count(event: str, arguments: object) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_publish_killed_before_any_step(passed: Artifact, tmp_path: Path) -> None:
    """A version is there, whole, or not at all; the next publisher of the name clears up and gets its own in."""
    for step in range(_MOST):
        registry = DirectoryRegistry(tmp_path / str(step))
        killed = killed_before(
            step, lambda registry=registry: registry.publish(passed, name="tiny", version="1")
        )
        there = registry.versions("tiny")
        assert there in ([], ["1"])
        assert not there or registry.verify("tiny:1").verified
        if there:
            with pytest.raises(RegistryError, match="never overwritten"):
                registry.publish(passed, name="tiny", version="1")
        else:
            registry.publish(passed, name="tiny", version="1")
        registry.publish(passed, name="tiny", version="2")
        assert [registry.verify(f"tiny:{version}").verified for version in (1, 2)] == [True, True]
        assert list(registry.folder.rglob(f".*{PARTIAL}*")) == []
        shutil.rmtree(registry.folder)
        if not killed:
            break
    assert not killed
    assert step >= 20


@pytest.mark.parametrize("before", [None, "1"])
def test_pull_killed_before_any_step(
    passed: Artifact, make_passed: Callable[[str], Artifact], tmp_path: Path, before: str | None
) -> None:
    """The folder is what it was, whole, or what was asked for, whole; the next pull gets it."""
    registry = DirectoryRegistry(tmp_path / "registry")
    registry.publish(make_passed("older"), name="tiny", version="1")
    registry.publish(passed, name="tiny", version="2")
    for step in range(_MOST):
        out = tmp_path / f"place-{step}" / "out"
        out.parent.mkdir()
        if before:
            registry.pull(f"tiny:{before}", out)
        killed = killed_before(step, lambda out=out: registry.pull("tiny:2", out, force=True))
        if out.exists():
            found = verify_artifact(out)
            assert (found.problem, found.release) in [(None, f"tiny:{one}") for one in (before, "2")]
        else:
            assert before is None
        registry.pull("tiny:2", out, force=True)
        assert verify_artifact(out).release == "tiny:2"
        shutil.rmtree(out.parent)
        if not killed:
            break
    assert not killed
    assert step >= 20
