"""What publishing writes besides: which release it is, where it comes from, what it is made of."""

import json
import re
from pathlib import Path

import pytest

from quantkit.artifact import Artifact, Manifest
from quantkit.errors import RegistryError
from quantkit.registry import DirectoryRegistry, verify_artifact


@pytest.fixture
def registry(tmp_path: Path) -> DirectoryRegistry:
    return DirectoryRegistry(tmp_path / "registry")


def test_the_release_binds_name_version_and_digest(registry: DirectoryRegistry, passed: Artifact) -> None:
    """A version folder that was renamed is not taken for what its name says."""
    place = registry.publish(passed, name="tiny", version="1")
    assert registry.verify("tiny:1").release == "tiny:1"
    place.rename(place.with_name("2"))
    assert not registry.verify("tiny:2").verified
    with pytest.raises(RegistryError, match="is the release tiny:1, not tiny:2"):
        registry.pull("tiny:2", registry.folder.parent / "out")


def test_a_release_of_other_bytes_does_not_verify(registry: DirectoryRegistry, passed: Artifact) -> None:
    """`release.json` copied from another artifact, with the manifest sealed again, is found."""
    place = registry.publish(passed, name="tiny", version="1")
    path = place / "reports" / "release.json"
    path.write_text(path.read_text().replace(passed.digest, "9" * 64))
    reseal(place, "reports/release.json")
    assert "is about the artifact 999999999999" in str(verify_artifact(place).problem)


def test_what_was_published_before_releases_were_named_still_verifies(
    registry: DirectoryRegistry, passed: Artifact
) -> None:
    """Old registries stay good."""
    place = registry.publish(passed, name="tiny", version="1")
    for name in ("release.json", "provenance.intoto.json", "bom.cdx.json"):
        (place / "reports" / name).unlink()
        reseal(place, f"reports/{name}", gone=True)
    found = registry.verify("tiny:1")
    assert (found.verified, found.release) == (True, None)


def test_the_same_artifact_gives_the_same_bytes(registry: DirectoryRegistry, passed: Artifact) -> None:
    """Nothing that publishing writes holds a time, a place or a random number."""
    second = DirectoryRegistry(registry.folder.with_name("second"))
    first, again = (each.publish(passed, name="tiny", version="1") for each in (registry, second))
    assert (again / "manifest.json").read_bytes() == (first / "manifest.json").read_bytes()
    for name in ("release.json", "provenance.intoto.json", "bom.cdx.json"):
        text = (first / "reports" / name).read_text()
        assert (again / "reports" / name).read_text() == text
        assert not re.search(r"\d\d:\d\d", text)


def test_the_bill_of_materials_is_cyclonedx(registry: DirectoryRegistry, passed: Artifact) -> None:
    """cyclonedx-python-lib takes it for a bill of version 1.6; its model card has the F1 that was gated."""
    json_validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    place = registry.publish(passed, name="tiny", version="1")
    text = (place / "reports" / "bom.cdx.json").read_text()
    validator = json_validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    model = json.loads(text)["metadata"]["component"]
    metrics = {
        entry["type"]: entry for entry in model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    }
    assert (metrics["F1"]["value"], metrics["F1"]["slice"]) == ("100.0", "tiny")
    assert validator.validate_str(text.replace("machine-learning-model", "mod")) is not None


def test_the_provenance_is_an_in_toto_statement(registry: DirectoryRegistry, passed: Artifact) -> None:
    """in-toto's own library reads it; its subjects are the artifact's files."""
    statement = pytest.importorskip("in_toto_attestation.v1.statement")
    statement_pb2 = pytest.importorskip("in_toto_attestation.v1.statement_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    place = registry.publish(passed, name="tiny", version="1")
    content = json.loads((place / "reports" / "provenance.intoto.json").read_text())
    read = statement.Statement.copy_from_pb(json_format.ParseDict(content, statement_pb2.Statement()))
    read.validate()
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in content["subject"]}
    assert subjects == {name: record.sha256 for name, record in passed.manifest.files.items()}
    definition = content["predicate"]["buildDefinition"]
    assert set(definition) == {
        "buildType",
        "externalParameters",
        "internalParameters",
        "resolvedDependencies",
    }
    assert content["predicateType"] == "https://slsa.dev/provenance/v1"


def reseal(place: Path, name: str, *, gone: bool = False) -> None:
    """Write a manifest that fits a changed report, as somebody would who wants the change to go unnoticed."""
    from quantkit.artifact.manifest import hash_files

    manifest = Manifest.read(place)
    reports = {known: record for known, record in manifest.reports.items() if known != name}
    if not gone:
        reports |= hash_files(place, [name])
    changed = manifest.model_copy(update={"reports": reports})
    (place / "manifest.json").write_text(changed.serialized())
