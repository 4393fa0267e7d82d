"""Files: digests, atomic writes, folders that appear whole or not at all, paths that stay inside."""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import platformdirs

from quantkit.errors import ArtifactError, OutputError, QuantkitError, UsageError
from quantkit.hub_cache import is_blob
from quantkit.partial import PARTIAL, exchange, lock, partial_folder

CACHE = "QUANTKIT_CACHE"
"""The variable that says where what is kept between commands lies."""
_LOG = logging.getLogger(__name__)
_CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_PLACE = (
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ELOOP,
)
# What an artifact's folder holds at its top. --force deletes a folder only when it holds one of them; what held
# neither is kept beside the new folder, so that a slip of the keyboard (-o photos --force) costs nothing.
_MARKS = ("manifest.json", "model.onnx")


def sha256_bytes(content: bytes) -> str:
    """Return the sha256 of `content` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file, read in chunks of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return the one serialisation that digests are taken of: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest_of(value: Any) -> str:
    """Return the sha256 of the canonical JSON of `value`."""
    return sha256_bytes(canonical_json(value))


def pretty_json(value: Any) -> str:
    """Return `value` as indented JSON with a final newline, keys in their given order."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@contextlib.contextmanager
def naming_output_errors(path: Path, *, within: Path | None = None) -> Iterator[None]:
    """Turn what the operating system says about writing `path` into one `OutputError` line.

    Args:
        path: what the line names.
        within: the block reads other files too; only errors about this folder, or about no file, are about
            writing. A full disk always is.
    """
    try:
        yield
    except OSError as error:
        if within is not None and error.errno not in _FULL and not _is_about(error, within):
            raise
        if error.errno in _FULL:
            raise OutputError(f"{path}: the disk is full; free some space and run again") from error
        if error.errno == errno.EFBIG:
            raise OutputError(
                f"{path}: a file there may not be so large; raise the limit (ulimit -f), or choose another place"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise OutputError(
                f"{path}: no permission to write there; choose another place, or change its permissions"
            ) from error
        if error.errno in _NO_PLACE:
            raise OutputError(
                f"{path}: cannot be written: {os.strerror(error.errno)}; choose another place"
            ) from error
        raise


def _is_about(error: OSError, folder: Path) -> bool:
    names = [name for name in (error.filename, error.filename2) if isinstance(name, str | os.PathLike)]
    return not names or any(Path(name).is_relative_to(folder) for name in names)


@contextlib.contextmanager
def naming(temporary: Path, path: Path) -> Iterator[None]:
    """Let errors of the block name `path` for `temporary`, which is gone when somebody reads them."""
    try:
        yield
    except QuantkitError as error:
        error.args = (str(error).replace(str(temporary), str(path)), *error.args[1:])
        raise


def is_read_only(error: OutputError) -> bool:
    """Return whether a write failed because nothing may be written there, and not for want of space."""
    cause = error.__cause__
    return isinstance(cause, PermissionError) or (isinstance(cause, OSError) and cause.errno == errno.EROFS)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; see `write_stream`."""
    write_stream(path, lambda stream: stream.write(content))


def write_stream(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all: a temporary file beside it, flushed to disk, then renamed.

    Args:
        path: the file.
        write: writes what is in it.

    Raises:
        OutputError: the disk is full, or there is no permission.
    """
    with naming_output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}{PARTIAL}", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                lock(handle)
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
                temporary.chmod(0o666 & ~_umask())
                os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON whole or not at all. NaN and Infinity are refused (ValueError)."""
    write_text(path, pretty_json(value))


@contextlib.contextmanager
def new_folder(path: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that becomes `path` when the block ends without an error.

    Anything raised in the block (Ctrl-C too) removes the temporary folder and leaves `path` as it was.

    Args:
        path: where the folder shall be.
        force: replace an artifact, and set aside what is none. Without it a folder that is not empty is an error.

    Raises:
        OutputError: `path` is a file or is not empty, the disk is full, or there is no permission.
    """
    require_free(path, force=force)
    with contextlib.ExitStack() as stack:
        with naming_output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(partial_folder(path))
            temporary.chmod(0o777 & ~_umask())
        stack.enter_context(naming_output_errors(path, within=temporary))
        with naming(temporary, path):
            yield temporary
        _swap(temporary, path, force=force)


def require_free(path: Path, *, force: bool) -> None:
    """Raise `OutputError` when `path` is no place for a new folder.

    It is the current folder or a file, it is not empty and may not be replaced, or it lies inside an artifact,
    which would no longer be what its manifest lists.
    """
    with naming_output_errors(path):
        if Path.cwd().is_relative_to(path.resolve()):
            raise OutputError(f"{path}: is the folder you are in, or holds it; name a new folder with -o")
        if Path.home().is_relative_to(path.resolve()):
            raise OutputError(f"{path}: is your home folder, or holds it; name a new folder with -o")
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: is a file, not a folder; choose another place with -o")
        if path.is_dir() and any(path.iterdir()) and not force:
            raise OutputError(
                f"{path}: is not empty; choose another place with -o, or replace it with --force"
            )
        for parent in path.absolute().parents:
            if all((parent / mark).is_file() for mark in _MARKS):
                raise OutputError(
                    f"{path}: lies inside the artifact {parent}, which must stay as it is; "
                    "choose another place with -o"
                )


def _swap(temporary: Path, path: Path, *, force: bool) -> None:
    """Put `temporary` at `path`; at no moment is neither what was there nor what is new whole under a name that stays.

    Without `force` the rename itself fails where a folder that is not empty has appeared in the meantime. With it an
    artifact is replaced: the two folders change places, and what was there goes as the temporary one. Where they
    cannot, and for what held no artifact and may be somebody's only copy, it is set aside first, under a name that
    nobody clears away.
    """
    if not force or not path.exists() or not any(path.iterdir()):
        os.replace(temporary, path)
        return
    artifact = any((path / mark).is_file() for mark in _MARKS)
    if artifact and not path.is_symlink() and exchange(temporary, path):
        return
    old = Path(tempfile.mkdtemp(prefix=f"{path.name}.before-", dir=path.parent))
    os.replace(path, old)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.replace(old, path)
        raise
    if artifact:
        shutil.rmtree(old, ignore_errors=True)
    else:
        _LOG.warning("%s: held no artifact; what it held is now %s", path, old)


def inside(folder: Path, name: str) -> Path:
    """Return `folder / name`, refusing names that leave the folder.

    A file of a snapshot in the cache of the Hugging Face Hub is a link to a blob of the same repository, and may be.

    Raises:
        ArtifactError: the name is absolute, has `..` or a backslash, or passes through a link that leads outside.
    """
    pure = PurePosixPath(name)
    path = folder / pure
    escapes = pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name or name in ("", ".")
    if escapes or not (path.resolve().is_relative_to(folder.resolve()) or is_blob(folder, path)):
        raise ArtifactError(f"{folder}: the path {name!r} leaves the folder; do not use this artifact")
    return path


@contextlib.contextmanager
def sole_user(folder: Path, lock_file: str, *, busy: str) -> Iterator[None]:
    """Hold a folder for this process while the block runs; it is made if need be.

    Args:
        folder: to be held.
        lock_file: the file in it that is locked; it stays.
        busy: what to say when another process holds it, without the folder's name.

    Raises:
        UsageError: another process holds it.
        OutputError: it cannot be written.
    """
    with naming_output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / lock_file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{folder}: {busy}") from None
        yield
    finally:
        os.close(handle)


def cache_folder() -> Path:
    """Return the user's cache folder: `$QUANTKIT_CACHE`, or the platform's own."""
    chosen = os.environ.get(CACHE)
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("quantkit"))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
