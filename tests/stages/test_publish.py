"""publish: once, and only what passed."""

from pathlib import Path

import pytest

from quantkit.errors import PublishRefused, RegistryError
from quantkit.recipe.settings import PublishSettings
from quantkit.stages.publish import already_published, publish


@pytest.fixture
def target(tmp_path: Path) -> PublishSettings:
    return PublishSettings(registry=str(tmp_path / "registry"), name="tiny", version="1.0.0")


def test_publishing_the_same_bytes_again_is_done_already(
    tmp_path: Path, target, make_artifact, pass_gate
) -> None:
    """A release pipeline that runs twice does not fail the second time."""
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact)
    assert not already_published(artifact, settings=target)
    first = publish(artifact, settings=target)
    assert already_published(artifact, settings=target)
    assert first == publish(artifact, settings=target)


def test_other_bytes_under_the_same_version_are_refused(
    tmp_path: Path, target, make_artifact, pass_gate
) -> None:
    """A version means one digest for ever."""
    for name in ("one", "two"):
        pass_gate(make_artifact(tmp_path / name, model=name.encode()))
    from quantkit.artifact import Artifact

    publish(Artifact.open(tmp_path / "one"), settings=target)
    with pytest.raises(RegistryError, match="never overwritten"):
        publish(Artifact.open(tmp_path / "two"), settings=target)


def test_same_bytes_that_fail_now_are_refused(tmp_path: Path, target, make_artifact, pass_gate) -> None:
    """That these bytes were published before does not excuse a gate that fails today."""
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact)
    publish(artifact, settings=target)
    pass_gate(artifact, verdict="fail")
    with pytest.raises(PublishRefused):
        publish(artifact, settings=target)
