"""A snapshot is a private copy of the listed files, hashed on the way."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact
from quantkit.artifact import snapshot as module
from quantkit.artifact.snapshot import snapshot
from quantkit.errors import ArtifactError, OutputError


def test_files_are_copies_in_a_private_folder(make_artifact: Any, tmp_path: Path) -> None:
    """Only the listed files are there, nobody else may look, none shares its inode, and all goes in the end."""
    artifact = make_artifact(tmp_path / "a")
    artifact.write_report("bench.json", {})
    with snapshot(artifact) as held:
        assert sorted(path.name for path in held.path.iterdir()) == sorted(artifact.manifest.files)
        assert stat.S_IMODE(held.path.stat().st_mode) == 0o700
        assert held.model_path.read_bytes() == b"model"
        assert not held.model_path.samefile(artifact.model_path)
        (artifact.path / "model.onnx").write_bytes(b"other")
        assert held.model_path.read_bytes() == b"model"
        assert (held.place, held.digest, held.model_name) == (
            artifact.path,
            artifact.digest,
            str(artifact.model_path),
        )
        with snapshot(held) as again:
            assert again is held
    assert not held.path.exists()


def test_what_a_killed_process_left_goes_with_the_next(
    make_artifact: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy may be large; one that is in use stays."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    left = tmp_path / "temporary" / ".quantkit-held.partial-dead"
    left.mkdir()
    artifact = make_artifact(tmp_path / "a")
    with snapshot(artifact) as first, snapshot(artifact) as second:
        assert not left.exists()
        assert {first.path, second.path} == set(first.path.parent.iterdir())
    assert list((tmp_path / "temporary").iterdir()) == []


def test_reports_are_the_originals(make_artifact: Any, tmp_path: Path) -> None:
    """What is said of the artifact is written where the artifact is."""
    artifact = make_artifact(tmp_path / "a")
    with snapshot(artifact) as held:
        assert held.write_report("x.json", {}) == artifact.path / "reports" / "x.json"
    assert (artifact.path / "reports" / "x.json").is_file()


def test_no_report_gets_into_another_artifact(make_artifact: Any, tmp_path: Path) -> None:
    """A folder that holds another artifact by now keeps none of this one's reports."""
    artifact = make_artifact(tmp_path / "a")
    with snapshot(artifact) as held:
        make_artifact(tmp_path / "a", model=b"other", force=True)
        assert not held.keep_report("x.json", {})
        with pytest.raises(OutputError, match=r"is not written: .* was replaced after it was opened"):
            held.write_report("x.json", {})
    assert not (tmp_path / "a" / "reports").exists()


def test_errors_name_the_original(make_artifact: Any, tmp_path: Path) -> None:
    """The copy is gone when somebody reads the line."""
    artifact = make_artifact(tmp_path / "a")
    with pytest.raises(ArtifactError) as caught, snapshot(artifact) as held:
        raise ArtifactError(f"{held.model_path}: is bad; mend it")
    assert str(caught.value) == f"{artifact.model_path}: is bad; mend it"


def spoil_bytes(path: Path) -> None:
    path.write_bytes(b"madel")


def make_longer(path: Path) -> None:
    path.write_bytes(b"model and more")


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [spoil_bytes, make_longer, make_pipe, make_folder])
def test_anything_else_is_refused(make_artifact: Any, tmp_path: Path, spoil: Any) -> None:
    """Other bytes, a pipe that nobody writes into, a folder: one line, and nobody waits."""
    artifact = make_artifact(tmp_path / "a")
    spoil(artifact.model_path)
    with (
        pytest.raises(ArtifactError, match="was changed or replaced after it was opened"),
        snapshot(artifact),
    ):
        pass


def test_a_file_that_is_gone(make_artifact: Any, tmp_path: Path) -> None:
    """A missing file is told as everywhere."""
    artifact = make_artifact(tmp_path / "a")
    artifact.model_path.unlink()
    with pytest.raises(ArtifactError, match=r"model.onnx: is missing"), snapshot(artifact):
        pass


def test_a_clone_is_hashed_too(make_artifact: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where blocks are shared, what is hashed is read from the clone; here a copy stands for it."""

    def clone(original: Any, copy: Any) -> bool:
        copy.write(os.pread(original.fileno(), 100, 0))
        copy.flush()
        copy.seek(0)
        return True

    artifact: Artifact = make_artifact(tmp_path / "a")
    monkeypatch.setattr(module, "_clone", clone)
    with snapshot(artifact) as held:
        assert held.model_path.read_bytes() == b"model"
    spoil_bytes(artifact.model_path)
    with pytest.raises(ArtifactError, match="was changed or replaced"), snapshot(artifact):
        pass


def test_no_room(make_artifact: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one line that names the folder for temporary files."""

    def full(*given: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    artifact = make_artifact(tmp_path / "a")
    monkeypatch.setattr(module, "_copied", full)
    with pytest.raises(OutputError, match="the disk is full"), snapshot(artifact):
        pass
