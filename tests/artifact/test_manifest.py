"""The manifest: a change of any byte is found, and no path leaves the folder."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from quantkit.artifact import Artifact, Manifest, StageRecord, new_artifact
from quantkit.artifact.manifest import NAME, FileRecord, files_digest
from quantkit.errors import ArtifactError
from quantkit.files import digest_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "whole"
    with new_artifact(path) as draft:
        draft.model_path.write_bytes(b"model")
        (draft.path / "config.json").write_text("{}")
        draft.record(
            task="squad",
            architecture="bert",
            precision="fp32",
            stages=(StageRecord(stage="export", settings={"atol": 1e-4}, seconds=1.5),),
            parent=None,
        )
    return path


def reseal(folder: Path, **changes: Any) -> None:
    """Write a manifest with changed content and a seal that fits it, as an attacker would."""
    content = json.loads((folder / NAME).read_text())
    content.pop("seal")
    content |= changes
    content["seal"] = digest_of(content)
    (folder / NAME).write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def test_written_manifest_reads_back(whole: Path) -> None:
    """What was recorded is what is read, digest included."""
    manifest = Manifest.read(whole)
    assert sorted(manifest.files) == ["config.json", "model.onnx"]
    assert files_digest(manifest.files) == Artifact.open(whole).digest


@settings(max_examples=150)
@given(data=st.data())
def test_any_changed_byte_of_the_manifest_is_found(whole: Path, data: st.DataObject) -> None:
    """Flip any bits of any byte of manifest.json, and the artifact does not open."""
    content = bytearray((whole / NAME).read_bytes())
    index = data.draw(st.integers(0, len(content) - 1))
    content[index] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(whole, copy)
        (copy / NAME).write_bytes(content)
        with pytest.raises(ArtifactError):
            Artifact.open(copy)


@settings(max_examples=60)
@given(data=st.data())
def test_any_truncation_of_the_manifest_is_found(whole: Path, data: st.DataObject) -> None:
    """Cut manifest.json anywhere, and the artifact does not open."""
    content = (whole / NAME).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(whole, copy)
        (copy / NAME).write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        with pytest.raises(ArtifactError):
            Artifact.open(copy)


@pytest.mark.parametrize("name", ["model.onnx", "config.json"])
def test_changed_file_is_found(whole: Path, tmp_path: Path, name: str) -> None:
    """One changed byte of a listed file is an error that names the file, also when the size is the same."""
    copy = shutil.copytree(whole, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[0] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name}: its bytes are not those of the manifest"):
        Artifact.open(copy)


def test_missing_and_foreign_files_are_found(whole: Path, tmp_path: Path) -> None:
    """A file that is gone is an error, and so is one that is there and not listed."""
    gone = shutil.copytree(whole, tmp_path / "gone")
    (gone / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"config.json: is missing"):
        Artifact.open(gone)
    more = shutil.copytree(whole, tmp_path / "more")
    (more / "sub").mkdir()
    (more / "sub" / "extra.bin").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"sub: is not listed"):
        Artifact.open(more)


def test_reports_do_not_change_the_digest(whole: Path, tmp_path: Path) -> None:
    """Reports may come later: the artifact opens as before, with the same digest."""
    copy = shutil.copytree(whole, tmp_path / "copy")
    artifact = Artifact.open(copy)
    artifact.write_report("evaluation.json", {"f1": 1})
    assert artifact.digest == Artifact.open(copy).digest


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b"])
def test_paths_that_leave_the_folder_are_refused(whole: Path, tmp_path: Path, name: str) -> None:
    """A manifest with a fitting seal still cannot point outside of its folder."""
    copy = shutil.copytree(whole, tmp_path / "copy")
    files = {name: {"sha256": "0" * 64, "size": 1}}
    records = {name: FileRecord(sha256="0" * 64, size=1)}
    reseal(copy, files=files, digest=files_digest(records))
    with pytest.raises(ArtifactError, match="leaves the folder"):
        Artifact.open(copy)
    reseal(copy, **{"files": {}, "digest": files_digest({}), "reports": files})
    with pytest.raises(ArtifactError, match="leaves the folder"):
        Artifact.open(copy)


def test_foreign_digest_and_version_are_refused(whole: Path, tmp_path: Path) -> None:
    """A digest that is not that of the files, and a format of another version, are errors."""
    copy = shutil.copytree(whole, tmp_path / "copy")
    reseal(copy, digest="0" * 64)
    with pytest.raises(ArtifactError, match="digest is not that of its files"):
        Artifact.open(copy)
    reseal(copy, schema="quantkit/manifest/2")
    with pytest.raises(ArtifactError, match="use the matching quantkit"):
        Artifact.open(copy)


def test_stage_that_records_nothing_leaves_nothing(tmp_path: Path) -> None:
    """A stage that forgets to record what it made is an error, not an artifact without a manifest."""
    with pytest.raises(ArtifactError, match="without recording"), new_artifact(tmp_path / "out") as draft:
        draft.model_path.write_bytes(b"x")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_numbers_json_does_not_know_are_refused(whole: Path, tmp_path: Path, number: str) -> None:
    """A fact that is not a number is one line, never a crash."""
    copy = shutil.copytree(whole, tmp_path / "copy")
    text = (copy / NAME).read_text().replace('"facts": {}', f'"facts": {{"int8_coverage": {number}}}')
    assert number in text
    (copy / NAME).write_text(text)
    with pytest.raises(ArtifactError, match=f"{NAME}: was changed or is truncated"):
        Artifact.open(copy)


def test_no_number_that_is_none_is_recorded() -> None:
    """Seconds are a number."""
    with pytest.raises(ValidationError, match="finite"):
        StageRecord(stage="export", seconds=float("nan"))


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '"x"', "\udcff"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    """Anything but a manifest is one line, never a crash."""
    (tmp_path / NAME).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError):
        Artifact.open(tmp_path)
