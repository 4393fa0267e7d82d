"""Files: whole or not at all, and never outside their folder."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import ArtifactError, OutputError
from quantkit.files import (
    canonical_json,
    inside,
    naming_output_errors,
    new_folder,
    sha256_bytes,
    sha256_file,
    write_bytes,
    write_json,
)


def full_disk(*arguments: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    """A file hashed in chunks has the digest of its bytes."""
    content = bytes(range(256)) * 9000
    (tmp_path / "file").write_bytes(content)
    assert sha256_bytes(content) == sha256_file(tmp_path / "file")


def test_canonical_json_has_one_form() -> None:
    """The order of keys does not change a digest."""
    assert canonical_json({"b": 1, "a": [1.5, "é"]}) == canonical_json({"a": [1.5, "é"], "b": 1})


def test_nan_is_no_json(tmp_path: Path) -> None:
    """NaN never reaches a report, and the attempt leaves no file."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"f1": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, a file keeps its content, nothing is left beside it, and one line says so."""
    write_bytes(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="the disk is full"):
        write_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield the root of a real file system of 64 KiB, or skip where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if not mount or not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only the superuser of Linux mounts a small disk")
    mounted = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this container mounts nothing")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    """A file and a folder that do not fit are one line each, and leave the disk as it was."""
    write_bytes(small_disk / "kept", b"kept")
    with pytest.raises(OutputError, match="the disk is full"):
        write_bytes(small_disk / "kept", bytes(100_000))

    def fill() -> None:
        with new_folder(small_disk / "out") as folder:
            (folder / "a").write_bytes(bytes(40_000))
            (folder / "b").write_bytes(bytes(40_000))

    with pytest.raises(OutputError, match="the disk is full"):
        fill()
    assert [path.name for path in small_disk.iterdir()] == ["kept"]
    assert (small_disk / "kept").read_bytes() == b"kept"


def test_new_folder_appears_whole(tmp_path: Path) -> None:
    """A folder is not there while it is being filled, and is there afterwards."""
    with new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_new_folder_vanishes_on_any_error(tmp_path: Path, error: type[BaseException]) -> None:
    """Whatever stops the work, Ctrl-C too, leaves nothing behind."""

    def fill() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("1")
            raise error

    with pytest.raises(error):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_trouble_with_a_file_that_is_read_names_that_file(tmp_path: Path) -> None:
    """A source that may not be read is not told as an output that may not be written."""
    trouble = PermissionError(errno.EACCES, "Permission denied", "/elsewhere/model.onnx")
    with pytest.raises(PermissionError), new_folder(tmp_path / "out"):
        raise trouble
    with pytest.raises(OutputError, match="out: no permission"), new_folder(tmp_path / "out") as folder:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder / "model.onnx"))
    full = OSError(errno.ENOSPC, "No space left on device", "/elsewhere/model.onnx")
    with pytest.raises(OutputError, match="out: the disk is full"), new_folder(tmp_path / "out"):
        raise full
    assert list(tmp_path.iterdir()) == []


def test_the_current_folder_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-o .` would pull the folder away from under the user's feet."""
    monkeypatch.chdir(tmp_path)
    for place in (Path(), tmp_path):
        with pytest.raises(OutputError, match="is the folder you are in"), new_folder(place, force=True):
            pass


def test_errors_name_the_place_that_was_asked_for(tmp_path: Path) -> None:
    """The temporary folder is gone when somebody reads the message; the class and the cause stay."""
    with pytest.raises(ArtifactError) as caught, new_folder(tmp_path / "out") as folder:
        raise ArtifactError(f"{folder / 'model.onnx'}: has no input; mend it")
    assert f"{tmp_path / 'out' / 'model.onnx'}: has no input; mend it" == str(caught.value)


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """Without force nothing is replaced."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("1")
    with pytest.raises(OutputError, match="is not empty"), new_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "mine").read_text() == "1"


def test_force_replaces_whole(tmp_path: Path) -> None:
    """With force the new folder holds only what is new."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("1")
    with new_folder(tmp_path / "out", force=True) as folder:
        (folder / "new").write_text("2")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_force_keeps_what_is_no_artifact(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What held no artifact may be somebody's only copy: it is set aside, and the place is told."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letters").write_text("1")
    with new_folder(tmp_path / "out", force=True) as folder:
        (folder / "new").write_text("2")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    (kept,) = tmp_path.glob("out.before-*")
    assert (kept / "letters").read_text() == "1"
    assert str(kept) in caplog.text


def test_home_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip such as `-o ~ --force` costs nothing."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for place in (tmp_path / "home", tmp_path):
        with pytest.raises(OutputError, match="is your home folder"), new_folder(place, force=True):
            pass


def test_nothing_is_made_inside_an_artifact(tmp_path: Path) -> None:
    """A folder inside an artifact would break it: the manifest does not list it."""
    for name in ("manifest.json", "model.onnx"):
        (tmp_path / name).write_text("1")
    with pytest.raises(OutputError, match="lies inside the artifact"), new_folder(tmp_path / "a" / "out"):
        pass
    assert not (tmp_path / "a").exists()


def test_folder_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Of two that make the same folder the second fails, and the first one's stays."""

    def race() -> None:
        with new_folder(tmp_path / "out") as folder:
            (folder / "a").write_text("second")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "a").write_text("first")

    with pytest.raises(OutputError, match="cannot be written"):
        race()
    assert (tmp_path / "out" / "a").read_text() == "first"


def test_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A file in the place of the folder is an error that says so."""
    (tmp_path / "out").write_text("1")
    with pytest.raises(OutputError, match="is a file"), new_folder(tmp_path / "out"):
        pass


def test_a_limit_on_the_size_of_files_is_one_line(tmp_path: Path) -> None:
    """`ulimit -f`, or a file system without large files: no full disk, and no traceback."""
    with (
        pytest.raises(OutputError, match="out: a file there may not be so large"),
        naming_output_errors(tmp_path / "out"),
    ):
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_no_permission_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Whatever forbids writing is one line; the call is replaced, as the superuser may write anywhere."""

    def forbid(*arguments: object, **options: object) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("quantkit.files.tempfile.mkdtemp", forbid)
    with pytest.raises(OutputError, match="no permission to write there"), new_folder(tmp_path / "out"):
        pass


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_no_permission_for_real(tmp_path: Path) -> None:
    """A folder that may not be written to is one line, asked of the system itself."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    superuser = os.geteuid() == 0
    if superuser:  # to whom nothing is forbidden
        os.seteuid(65534)
    try:
        with pytest.raises(OutputError, match="no permission to write there"), new_folder(closed / "out"):
            pass
        with pytest.raises(OutputError, match="no permission to write there"):
            write_bytes(closed / "file", b"x")
    finally:
        if superuser:
            os.seteuid(0)
    assert list(closed.iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd", "a\\b", "", ".", "a\0b", "link/x"])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    """No name in a manifest reaches anything outside of the artifact, also not through a link."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ArtifactError, match="leaves the folder"):
        inside(folder, name)


@given(st.text(max_size=30))
def test_no_name_escapes(name: str) -> None:
    """For any text, `inside` refuses or stays inside."""
    folder = Path("/nowhere/artifact")
    try:
        path = inside(folder, name)
    except ArtifactError:
        return
    except ValueError:  # an embedded null byte or a lone surrogate: refused by the system itself
        return
    assert path.resolve().is_relative_to(folder)
