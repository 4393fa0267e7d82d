"""The artifact folder: it is not lost to the stage that reads it, nor to a slip."""

import errno
from pathlib import Path

import pytest

from quantkit.artifact import Artifact, new_artifact
from quantkit.artifact.artifact import require_apart
from quantkit.errors import OutputError


def test_a_stage_does_not_replace_what_it_reads(tmp_path: Path, make_artifact) -> None:
    """`quantize X -o X --force` would lose the only FP32 model there is, also by way of a link."""
    artifact = make_artifact(tmp_path / "artifact")
    (tmp_path / "link").symlink_to(artifact.path)
    for out in (artifact.path, tmp_path / "link", tmp_path / "other" / ".." / "artifact"):
        with pytest.raises(OutputError, match="is the artifact to work on"):
            require_apart(out, artifact)
    require_apart(tmp_path / "other", artifact)


def test_force_does_not_replace_what_is_published(tmp_path: Path, make_artifact) -> None:
    """A version in a registry never changes, whatever -o and --force say."""
    artifact = make_artifact(tmp_path / "artifact")
    listed = artifact.manifest.model_copy(
        update={"reports": {"reports/x": artifact.manifest.files["config.json"]}}
    )
    (artifact.path / "manifest.json").write_text(listed.serialized())
    with pytest.raises(OutputError, match="never changes"), new_artifact(artifact.path, force=True):
        pass
    assert artifact.model_path.read_bytes() == b"model"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_report_that_cannot_be_kept_is_a_warning(
    tmp_path: Path,
    make_artifact,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    """What was measured for minutes is printed, even where the artifact cannot be written to."""
    artifact: Artifact = make_artifact(tmp_path / "artifact")

    def forbid(*arguments: object, **options: object) -> str:
        raise OSError(code, "no")

    artifact.keep_report("bench.json", {"kept": True})
    assert artifact.report_path("bench.json").is_file()
    monkeypatch.setattr("quantkit.files.tempfile.mkstemp", forbid)
    artifact.keep_report("bench.json", {"kept": False})
    assert "bench.json is not kept in the artifact" in caplog.text
