"""Channels, on a folder and over OCI: forwards to what is newer, back by a rollback, and garbage is what is left."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from oci_server import RegistryServer

from quantkit.artifact import Artifact
from quantkit.errors import RegistryError
from quantkit.registry import DirectoryRegistry
from quantkit.registry.channels import promote, rollback, unreferenced
from quantkit.registry.oci.client import Blob
from quantkit.registry.oci.registry import OciRegistry
from quantkit.registry.protocol import Registry


@pytest.fixture(params=["directory", "oci"])
def registry(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registry]:
    """Return an empty registry of each kind, whose clock goes on by an hour with every publication."""
    clock = iter(range(1, 24))
    if request.param == "oci":
        server: RegistryServer = request.getfixturevalue("memory_registry")
        monkeypatch.setattr(
            "quantkit.registry.oci.registry.now", lambda: f"2026-01-01T{next(clock):02}:00:00Z"
        )
        yield OciRegistry.at(f"oci://{server.host}/team")
        return

    class Dated(DirectoryRegistry):
        def publish(self, *arguments: object, **how: object) -> Path:
            place = super().publish(*arguments, **how)
            os.utime(place / "manifest.json", (3600 * next(clock),) * 2)
            return place

    yield Dated(tmp_path / "registry")


@pytest.fixture
def three(registry: Registry, passed: Artifact) -> Registry:
    """Return the registry with 2.0, then 1.0 and 1.1: the order of publication is not that of the numbers."""
    for version in ("2.0", "1.0", "1.1"):
        registry.publish(passed, name="tiny", version=version)
    return registry


def test_a_channel_moves_forwards_and_back(three: Registry) -> None:
    """Forwards is what was published later; back is a rollback, step by step, and all of it is kept."""
    assert promote(three, "tiny:2.0", "production").before is None
    assert promote(three, "tiny:1.0", "production").before == "2.0"
    promote(three, "tiny:1.1", "production")
    with pytest.raises(RegistryError, match=r"points to 1\.1, which was published after 2\.0"):
        promote(three, "tiny:2.0", "production")
    assert (
        rollback(three, "tiny:production").before,
        three.resolve("tiny:production").version,
    ) == ("1.1", "1.0")
    assert rollback(three, "tiny:production").after == "2.0"
    with pytest.raises(RegistryError, match="there is nothing before it to go back to"):
        rollback(three, "tiny:production")
    promote(three, "tiny:1.1", "production")
    steps = [(move.action, move.version) for move in three.channels("tiny").channels["production"]]
    assert steps == [
        ("promote", "2.0"),
        ("promote", "1.0"),
        ("promote", "1.1"),
        ("rollback", "1.0"),
        ("rollback", "2.0"),
        ("promote", "1.1"),
    ]


def test_a_channel_is_pulled_and_verified_like_a_version(three: Registry, tmp_path: Path) -> None:
    """`name:channel` stands wherever `name:version` does."""
    promote(three, "tiny:1.0", "staging")
    promote(three, "tiny:staging", "production")
    assert three.verify("tiny:production").release == "tiny:1.0"
    three.pull("tiny:production", tmp_path / "out")
    assert str(three.resolve("tiny:production")) == "tiny:1.0"


def test_promoting_twice_is_done_already(three: Registry) -> None:
    """A pipeline that runs again does not fail, and the history has one step."""
    promote(three, "tiny:1.0", "production")
    moved = promote(three, "tiny:1.0", "production")
    assert (moved.before, moved.after) == ("1.0", "1.0")
    assert len(three.channels("tiny").channels["production"]) == 1


@pytest.mark.parametrize("channel", ["", "Latest", "a b", "-a", "a-", "a--b", "../x", "1", "a" * 70, "a\n"])
def test_channels_are_words(three: Registry, channel: str) -> None:
    """No channel is a path, or can be taken for a number."""
    with pytest.raises(RegistryError, match="is no channel"):
        promote(three, "tiny:1.0", channel)


def test_a_channel_and_a_version_have_different_names(three: Registry, passed: Artifact) -> None:
    """Otherwise a reference would mean two things."""
    three.publish(passed, name="tiny", version="nightly")
    with pytest.raises(RegistryError, match="tiny:nightly is a version"):
        promote(three, "tiny:1.0", "nightly")
    promote(three, "tiny:1.0", "production")
    with pytest.raises(RegistryError, match="is a channel; choose another version"):
        three.publish(passed, name="tiny", version="production")
    assert [release.version for release in three.releases("tiny")] == ["2.0", "1.0", "1.1", "nightly"]


def test_what_is_not_there_is_not_promoted(three: Registry) -> None:
    """An unknown version, and a channel that is none, are one line."""
    with pytest.raises(RegistryError, match=r"has no tiny:9; published: "):
        promote(three, "tiny:9", "production")
    with pytest.raises(RegistryError, match="has no channel production; channels: none"):
        rollback(three, "tiny:production")


def test_garbage_is_what_no_channel_needs(three: Registry, passed: Artifact) -> None:
    """What a channel points to or can go back to stays, and the newest; without channels everything does."""
    assert unreferenced(three, "tiny", keep=0) == []
    promote(three, "tiny:1.0", "production")
    three.publish(passed, name="tiny", version="3.0")
    assert [release.version for release in unreferenced(three, "tiny", keep=0)] == ["2.0", "1.1", "3.0"]
    assert [release.version for release in unreferenced(three, "tiny", keep=1)] == ["2.0", "1.1"]
    promote(three, "tiny:1.1", "production")
    (garbage,) = unreferenced(three, "tiny", keep=1)
    three.remove("tiny", garbage.version)
    assert [release.version for release in three.releases("tiny")] == ["1.0", "1.1", "3.0"]
    assert rollback(three, "tiny:production").after == "1.0"


def test_a_version_that_does_not_verify_is_not_promoted(tmp_path: Path, passed: Artifact) -> None:
    """The channel stays where it is."""
    registry = DirectoryRegistry(tmp_path / "registry")
    place = registry.publish(passed, name="tiny", version="1")
    (place / "model.onnx").write_bytes(b"other")
    with pytest.raises(RegistryError, match="production stays where it is"):
        promote(registry, "tiny:1", "production")
    assert registry.channels("tiny").pointing() == {}


def test_container_tools_follow_the_channel(memory_registry: RegistryServer, passed: Artifact) -> None:
    """Over OCI the channel is a tag, too, and it points to the very manifest of the version."""
    registry = OciRegistry.at(f"oci://{memory_registry.host}/team")
    for version in ("1", "2"):
        registry.publish(passed, name="tiny", version=version)
    for version in ("1", "2"):
        promote(registry, f"tiny:{version}", "production")
        pointed = memory_registry.content("team/tiny", "production")
        assert pointed == memory_registry.content("team/tiny", version)
    rollback(registry, "tiny:production")
    assert memory_registry.content("team/tiny", "production") == memory_registry.content("team/tiny", "1")


def test_two_who_promote_at_once_keep_both_steps(
    memory_registry: RegistryServer, passed: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that changed between reading and writing is read again, so that no step is lost."""
    registry = OciRegistry.at(f"oci://{memory_registry.host}/team")
    for version in ("1", "2"):
        registry.publish(passed, name="tiny", version=version)
    waited: list[float] = []

    def another_promotes(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            promote(OciRegistry.at(str(registry)), "tiny:1", "staging")

    monkeypatch.setattr("quantkit.registry.oci.registry.time.sleep", another_promotes)
    promote(registry, "tiny:2", "production")
    assert registry.channels("tiny").pointing() == {"production": "2", "staging": "1"}


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b'{"schema": "quantkit/channels/2"}',
        b'{"schema": "quantkit/channels/1", "channels": {"\\u001b[2J": []}}',
        b'{"schema": "quantkit/channels/1", "channels": {"a": [{"version": "../x"}]}}',
    ],
)
def test_a_record_that_is_none_is_one_line(
    memory_registry: RegistryServer, passed: Artifact, content: bytes
) -> None:
    """Whoever may push can write anything there; nothing of it is believed."""
    registry = OciRegistry.at(f"oci://{memory_registry.host}/team")
    registry.publish(passed, name="tiny", version="1")
    promote(registry, "tiny:1", "production")
    blob = Blob.of(content)
    memory_registry.blobs[blob.digest] = content
    layer = {"digest": blob.digest, "size": blob.size}
    memory_registry.move_tag("team/tiny", "quantkit-channels", json.dumps({"layers": [layer]}).encode())
    with pytest.raises(RegistryError, match="is no record of channels") as refused:
        registry.channels("tiny")
    assert len(str(refused.value).splitlines()) == 1
