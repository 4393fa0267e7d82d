"""verify finds everything in a published folder that the manifest does not list, and waits for nobody."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError
from quantkit.registry import DirectoryRegistry, verify_artifact


@pytest.fixture
def published(tmp_path: Path, make_artifact, pass_gate) -> Path:
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact)
    return DirectoryRegistry(tmp_path / "registry").publish(artifact, name="tiny", version="1")


def put_file(path: Path) -> None:
    path.write_bytes(b"x")


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)
    os.chdir(here)


def put_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def put_link_to_a_folder(path: Path) -> None:
    path.symlink_to("..")


def put_folder(path: Path) -> None:
    path.mkdir()


PUT = [put_file, put_pipe, put_socket, put_dangling_link, put_link_to_a_folder, put_folder]


@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("name", ["new", "reports/new", ".hidden", "reports/.gate.json.partial-x"])
def test_anything_that_is_not_listed(published: Path, put: Callable[[Path], None], name: str) -> None:
    """Of whatever kind, and below reports/ too: verify names it, and nobody opens the artifact."""
    put(published / name)
    found = verify_artifact(published)
    assert (found.verified, found.exit_code) == (False, 2)
    assert [file.name for file in found.files if file.finding == "not listed"] == [name]
    assert (
        found.problem
        == f"{published / name}: is not listed in the manifest; pull or publish the artifact again"
    )
    with pytest.raises(ArtifactError, match="is not listed in the manifest"):
        Artifact.open(published)


@pytest.mark.parametrize("put", [put_pipe, put_dangling_link, put_folder])
@pytest.mark.parametrize("name", ["model.onnx", "reports/gate.json"])
def test_what_took_a_files_place(
    published: Path, put: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    """A pipe, a broken link or a folder in place of a listed file is a missing file, for pull too."""
    (published / name).unlink()
    put(published / name)
    found = verify_artifact(published)
    assert [file.name for file in found.files if file.finding == "missing"] == [name]
    with pytest.raises(ArtifactError, match="is missing"):
        DirectoryRegistry(published.parents[1]).pull("tiny:1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text(published: Path) -> None:
    """Any bytes may be a file's name; the finding is JSON all the same."""
    name = os.fsdecode(b"bad\xff")
    (published / name).write_bytes(b"")
    found = verify_artifact(published)
    assert [file.name for file in found.files if file.finding == "not listed"] == ["bad\\xff"]
    found.model_dump_json()


def test_reports_that_are_not_sealed_may_be_any(tmp_path: Path, make_artifact) -> None:
    """Before publishing, what lies in reports/ is nobody's business; elsewhere nothing may lie."""
    artifact = make_artifact(tmp_path / "artifact")
    artifact.write_report("mine.txt", "x")
    put_folder(artifact.path / "reports" / "more")
    assert Artifact.open(artifact.path) == artifact
    put_dangling_link(artifact.path / "link")
    with pytest.raises(ArtifactError, match="link: is not listed"):
        Artifact.open(artifact.path)


def test_what_is_published_is_what_was_opened(tmp_path: Path, make_artifact, pass_gate) -> None:
    """An artifact that was replaced by another one with a passing gate is not published in its place."""
    opened = make_artifact(tmp_path / "artifact")
    pass_gate(opened)
    pass_gate(make_artifact(tmp_path / "artifact", model=b"other", force=True))
    registry = DirectoryRegistry(tmp_path / "registry")
    with pytest.raises(ArtifactError, match="was replaced after it was opened; run again"):
        registry.publish(opened, name="tiny", version="1")
    assert registry.names() == []
