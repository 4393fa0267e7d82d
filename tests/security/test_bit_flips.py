"""Flipped bits: a damaged release never verifies, and one that is sealed again never says another verdict."""

from pathlib import Path

import pytest
from security.forging import FILES, RIGHT, judged, seal

from quantkit.artifact import Artifact
from quantkit.errors import QuantkitError
from quantkit.registry import DirectoryRegistry, verify_artifact
from quantkit.registry.evidence import require_evidence
from quantkit.verdict.agreement import disagreement

FLIPS = 24


def flipped(content: bytes, number: int) -> bytes:
    """Return the content with one bit flipped; the numbers are spread over the whole file."""
    place = (number * len(content)) // FLIPS + number % 7
    place = min(place, len(content) - 1)
    return content[:place] + bytes([content[place] ^ (1 << number % 8)]) + content[place + 1 :]


@pytest.fixture
def published(tmp_path: Path, make_artifact) -> Path:
    artifact: Artifact = make_artifact(tmp_path / "artifact")
    judged(artifact, RIGHT)
    return DirectoryRegistry(tmp_path / "registry").publish(artifact, name="tiny", version="1")


@pytest.mark.parametrize("name", [*FILES, "gate.md", "gate.junit.xml", "admission.json"])
def test_a_flipped_bit_is_found(published: Path, name: str) -> None:
    """Every bit of every report is under the seal."""
    path = published / "reports" / name
    content = path.read_bytes()
    for number in range(FLIPS):
        path.write_bytes(flipped(content, number))
        assert not verify_artifact(published).verified, number
    path.write_bytes(content)
    assert verify_artifact(published).verified


@pytest.mark.parametrize("name", [*FILES, "gate.md", "gate.junit.xml", "admission.json"])
def test_a_flipped_bit_under_a_new_seal_changes_no_verdict(published: Path, name: str) -> None:
    """What still verifies says the same: the bit was in a field that no check reads, such as seconds."""
    before = require_evidence(Artifact.open(published)).gate
    path = published / "reports" / name
    content = path.read_bytes()
    for number in range(FLIPS):
        path.write_bytes(flipped(content, number))
        seal(published)
        try:
            found = verify_artifact(published)
        except QuantkitError:
            continue
        if found.verified:
            after = require_evidence(Artifact.open(published)).gate
            assert disagreement(after, before) is None, number
