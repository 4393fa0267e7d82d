"""Links of a snapshot in the Hub's cache: to blobs of the same repository, and nowhere else."""

from pathlib import Path

import pytest

from quantkit.errors import ArtifactError
from quantkit.files import inside


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Return a snapshot of a repository whose blob is `abc`; another repository has one too."""
    for name in ("models--ann--tiny", "models--bob--other"):
        (tmp_path / name / "blobs").mkdir(parents=True)
        (tmp_path / name / "blobs" / "abc").write_text("x")
    folder = tmp_path / "models--ann--tiny" / "snapshots" / "1234"
    (folder / "reports").mkdir(parents=True)
    return folder


def test_a_blob_of_the_same_repository_is_inside(snapshot: Path, tmp_path: Path) -> None:
    """Also in a folder below, and where the way to the cache is a link itself."""
    (snapshot / "model.onnx").symlink_to("../../blobs/abc")
    (snapshot / "reports" / "gate.json").symlink_to("../../../blobs/abc")
    (tmp_path / "way").symlink_to(snapshot)
    assert inside(snapshot / "reports", "gate.json").read_text() == "x"
    for folder in (snapshot, tmp_path / "way"):
        for name in ("model.onnx", "reports/gate.json"):
            assert inside(folder, name).read_text() == "x"


@pytest.mark.parametrize(
    "target",
    [
        "../../../models--bob--other/blobs/abc",
        "../../../secret",
        "../../refs/main",
        "../../blobs/../../secret",
        "../../blobs/deeper/abc",
        "../../blobs",
    ],
)
def test_every_other_link_leaves_the_folder(snapshot: Path, tmp_path: Path, target: str) -> None:
    """Another repository, its references, a folder below the blobs: refused, there or not."""
    (tmp_path / "secret").write_text("x")
    (snapshot / "model.onnx").symlink_to(target)
    with pytest.raises(ArtifactError, match="leaves the folder"):
        inside(snapshot, "model.onnx")


def test_blobs_that_are_a_link_are_none(snapshot: Path, tmp_path: Path) -> None:
    """The place they lead to is outside, whatever it is called."""
    blobs = snapshot.parents[1] / "blobs"
    (blobs / "abc").unlink()
    blobs.rmdir()
    blobs.symlink_to(tmp_path / "models--bob--other" / "blobs")
    (snapshot / "model.onnx").symlink_to("../../blobs/abc")
    with pytest.raises(ArtifactError, match="leaves the folder"):
        inside(snapshot, "model.onnx")


def test_a_folder_that_is_no_snapshot_has_no_blobs(tmp_path: Path) -> None:
    """The same links beside a folder of another name are refused."""
    folder = tmp_path / "models--ann--tiny" / "copies" / "1234"
    folder.mkdir(parents=True)
    (tmp_path / "models--ann--tiny" / "blobs").mkdir()
    (tmp_path / "models--ann--tiny" / "blobs" / "abc").write_text("x")
    (folder / "model.onnx").symlink_to("../../blobs/abc")
    with pytest.raises(ArtifactError, match="leaves the folder"):
        inside(folder, "model.onnx")
