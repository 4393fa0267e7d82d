"""Folders and files on their way: made beside their place, locked while somebody works on them, put there whole.

A maker that was killed leaves `.<name>.partial-…` behind. Whether it is dead its lock tells: the system lets go of it
with the process, whichever way that ended. The next folder that is made for the same place clears it away. Without
locks (some network file systems) what was left stays.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

PARTIAL = ".partial-"
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


@contextlib.contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, locked; what is there under its name when the block ends is removed.

    What makers that died have left on the way to `path` is removed first.

    Raises:
        OSError: it cannot be made.
    """
    remove_abandoned(path.parent, {path.name})
    folder, handle = _locked_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """Make the folder; once more, where somebody cleared it away before it was locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}{PARTIAL}", dir=path.parent))
        try:
            handle = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        lock(handle)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(folder.stat(), os.fstat(handle)):
                return folder, handle
        os.close(handle)


def lock(handle: int) -> None:
    """Lock what is being made until its handle is closed; where there are no locks, go on without.

    Somebody who holds it already is clearing it away, which takes a moment.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)


def remove_abandoned(folder: Path, made: Collection[str] | None = None) -> None:
    """Remove what makers that died have left in a folder.

    Args:
        folder: looked into, and into no folder of it.
        made: the names on whose way something may be removed; None for any.
    """
    for entry in folder.glob(f".*{PARTIAL}*"):
        if made is None or entry.name[1:].rpartition(PARTIAL)[0] in made:
            with contextlib.suppress(OSError):
                _remove_unlocked(entry)


def _remove_unlocked(entry: Path) -> None:
    """Remove a folder or a file.

    Raises:
        OSError: somebody is at work in it, or it cannot be told.
    """
    handle = os.open(entry, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()
    finally:
        os.close(handle)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; return False where the system or the file system cannot.

    Raises:
        OSError: they may not be renamed.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if not rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code), os.fspath(one), None, os.fspath(other))
