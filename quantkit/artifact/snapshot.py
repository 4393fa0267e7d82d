"""Snapshots: an artifact's files copied into a private folder, and hashed on the way.

Between hashing a file and running it minutes may pass, and the folder is everybody's. A snapshot is nobody else's: what
is read from it is what was hashed, and what the manifest does not list is not there. Where the file system can, a copy
shares the original's blocks until one of them is written (a reflink); a hard link would be the same file.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from quantkit.artifact.artifact import Artifact
from quantkit.artifact.manifest import FileRecord
from quantkit.errors import ArtifactError
from quantkit.files import inside, naming, naming_output_errors
from quantkit.partial import partial_folder

_NAME = "quantkit-held"
_FICLONE = 0x40049409
_CHUNK = 1 << 20


@contextlib.contextmanager
def snapshot(artifact: Artifact) -> Iterator[Artifact]:
    """Yield an artifact whose files are a private copy of the listed ones; errors of the block name the original.

    The copy is in the folder for temporary files (`TMPDIR`) and goes when the block ends; what a killed process left
    there goes with the next one's. A snapshot is its own.

    Raises:
        ArtifactError: a byte is not what the manifest says that was read when the artifact was opened.
        OutputError: there is no room for the copy.
    """
    if artifact.origin is not None:
        yield artifact
        return
    with contextlib.ExitStack() as stack:
        place = Path(tempfile.gettempdir()).resolve()
        with naming_output_errors(place):
            folder = stack.enter_context(partial_folder(place / _NAME))
            for name, record in artifact.manifest.files.items():
                _take(inside(artifact.path, name), folder / name, record)
        with naming(folder, artifact.path):
            yield replace(artifact, path=folder, origin=artifact.path)


def _take(source: Path, target: Path, record: FileRecord) -> None:
    """Copy a file and check what was copied.

    Raises:
        ArtifactError: it cannot be read, or is not what the manifest lists.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = _opened(source)
    try:
        same = stat.S_ISREG(os.fstat(handle).st_mode)
        if same:
            with open(handle, "rb", closefd=False) as original, target.open("x+b") as copy:
                same = _copied(original, copy, record.size) == record.sha256
    finally:
        os.close(handle)
    if not same:
        raise ArtifactError(f"{source}: was changed or replaced after it was opened; run again")


def _opened(source: Path) -> int:
    """Open a file, or whatever is there by now: a pipe would wait for a writer, and is not waited for."""
    try:
        return os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ArtifactError(
            f"{source}: is missing; the artifact is not whole, make or pull it again"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{source}: cannot be read: {error.strerror}") from None


def _copied(original: IO[bytes], copy: IO[bytes], size: int) -> str:
    """Copy a file, at most a little more than `size`, and return the sha256 of what is in the copy."""
    digest, seen = hashlib.sha256(), 0
    cloned = _clone(original, copy)
    read = copy if cloned else original
    while seen <= size and (chunk := read.read(_CHUNK)):
        digest.update(chunk)
        seen += len(chunk)
        if not cloned:
            copy.write(chunk)
    return digest.hexdigest()


def _clone(original: IO[bytes], copy: IO[bytes]) -> bool:
    """Let the copy share the original's blocks; return False where the file system cannot."""
    try:
        fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
    except OSError:
        return False
    return True
