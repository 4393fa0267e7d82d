"""The directory registry: evidence or nothing, whole or nothing, once or never."""

import errno
import multiprocessing
import shutil
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.artifact import Artifact, Manifest
from quantkit.errors import ArtifactError, OutputError, PublishRefused, QuantkitError, RegistryError
from quantkit.partial import PARTIAL
from quantkit.records import GateReport
from quantkit.registry import DirectoryRegistry, Reference, verify_artifact
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.profile import RUNTIME_REPORT, RuntimeProfile, profile_of
from quantkit.verdict.recorded import EVIDENCE, GATE


@pytest.fixture
def registry(tmp_path: Path) -> DirectoryRegistry:
    return DirectoryRegistry(tmp_path / "registry")


def test_published_artifact_opens_and_hashes_its_reports(
    registry: DirectoryRegistry, passed: Artifact
) -> None:
    """The published folder is the same artifact, and its manifest covers the reports too."""
    place = registry.publish(passed, name="tiny", version="1.0.0")
    assert registry.folder / "tiny" / "1.0.0" == place
    assert passed.digest == Artifact.open(place).digest
    names = (GATE, *EVIDENCE, "gate.md", "gate.junit.xml", "admission.json")
    written = ("release.json", "provenance.intoto.json", "bom.cdx.json")
    assert set(Manifest.read(place).reports) == {f"reports/{name}" for name in (*names, *written)}
    assert registry.verify("tiny:1.0.0").verified


def test_the_runtime_profile_travels(registry: DirectoryRegistry, passed: Artifact, tmp_path: Path) -> None:
    """What `tune` found is published with the artifact, sealed, and read by whoever pulls it."""
    profile = RuntimeProfile(instances=3, token_budget=512, cpu=cpu_facts().as_json())
    passed.write_report(RUNTIME_REPORT, profile.as_json())
    registry.publish(passed, name="tiny", version="1.0.0")
    pulled = registry.pull("tiny:1.0.0", tmp_path / "pulled")
    assert f"reports/{RUNTIME_REPORT}" in pulled.manifest.reports
    assert profile == profile_of(pulled)


def test_without_a_gate_report_nothing_is_published(
    registry: DirectoryRegistry, tmp_path: Path, make_artifact
) -> None:
    """No report, no release: exit code 3 and an empty registry."""
    with pytest.raises(PublishRefused, match="has no gate report") as refused:
        registry.publish(make_artifact(tmp_path / "artifact"), name="tiny", version="1")
    assert refused.value.exit_code == 3
    assert registry.names() == []


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_a_verdict_other_than_pass_is_refused(
    registry: DirectoryRegistry, tmp_path: Path, make_artifact, pass_gate, verdict: str
) -> None:
    """Failed and inconclusive are both no pass."""
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact, verdict=verdict)
    with pytest.raises(PublishRefused, match=verdict):
        registry.publish(artifact, name="tiny", version="1")


def test_a_report_for_another_digest_is_a_mistake(
    registry: DirectoryRegistry, tmp_path: Path, make_artifact, pass_gate
) -> None:
    """A passing report copied from another artifact is exit code 2."""
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact, digest="9" * 64)
    with pytest.raises(RegistryError, match="is about the artifact 999999999999") as refused:
        registry.publish(artifact, name="tiny", version="1")
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("name", EVIDENCE)
def test_missing_evidence_is_refused(registry: DirectoryRegistry, passed: Artifact, name: str) -> None:
    """A verdict without all that it was computed from is not enough."""
    for path in passed.path.glob(f"reports/{name.removesuffix('.json')}*.json"):
        path.unlink()
    with pytest.raises(PublishRefused, match=name) as refused:
        registry.publish(passed, name="tiny", version="1")
    assert refused.value.exit_code == 3


def test_the_gate_rests_on_its_own_evaluation_not_on_the_last(
    registry: DirectoryRegistry, passed: Artifact
) -> None:
    """Evaluating on another dataset after the gate changes nothing; the gate's evaluation is published."""
    for kind in ("evaluation", "predictions"):
        passed.report_path(f"{kind}.json").write_text("of another dataset")
    place = registry.publish(passed, name="tiny", version="1")
    own = passed.report_path("evaluation-tiny.json").read_bytes()
    assert own == (place / "reports" / "evaluation.json").read_bytes()
    assert not (place / "reports" / "evaluation-tiny.json").exists()
    assert registry.verify("tiny:1").verified


def test_a_report_of_the_first_schema_is_refused(registry: DirectoryRegistry, passed: Artifact) -> None:
    """A report from before the evidence lay beside it can be shown; publishing needs a new gate, and says so."""
    path = passed.report_path("gate.json")
    path.write_text(path.read_text().replace("quantkit/gate/2", "quantkit/gate/1"))
    assert GateReport.read(path).verdict == "pass"
    with pytest.raises(PublishRefused, match=r"is of an older version, .*; run `quantkit gate` on it again"):
        registry.publish(passed, name="tiny", version="1")


def test_changed_bytes_are_refused(registry: DirectoryRegistry, passed: Artifact) -> None:
    """An artifact whose bytes changed after it was opened is not published."""
    passed.model_path.write_bytes(b"other")
    with pytest.raises(ArtifactError, match="its bytes are not those"):
        registry.publish(passed, name="tiny", version="1")
    assert registry.names() == []


def test_a_version_is_never_overwritten(
    registry: DirectoryRegistry, passed: Artifact, tmp_path: Path, make_artifact, pass_gate
) -> None:
    """The second publisher of a version is refused and the first one's bytes stay."""
    place = registry.publish(passed, name="tiny", version="1")
    other = make_artifact(tmp_path / "other", model=b"other")
    pass_gate(other)
    with pytest.raises(RegistryError, match="never overwritten"):
        registry.publish(other, name="tiny", version="1")
    assert passed.digest == Artifact.open(place).digest


ROUNDS = 10


def publish_at_once(
    folder: Path, root: Path, barrier: Barrier, answers: "multiprocessing.Queue[str]"
) -> None:
    for version in range(ROUNDS):
        barrier.wait()
        try:
            DirectoryRegistry(root).publish(Artifact.open(folder), name="tiny", version=str(version))
            answers.put((version, "won"))
        except RegistryError:
            answers.put((version, "refused"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_of_concurrent_publishers_exactly_one_wins(tmp_path: Path, make_artifact, pass_gate) -> None:
    """Four processes publish different bytes as one version at once, ten times: one wins, whole."""
    context = multiprocessing.get_context("fork")
    folders = []
    for index in range(4):
        artifact = make_artifact(tmp_path / str(index), model=bytes([index]) * 300_000)
        pass_gate(artifact)
        folders.append(artifact.path)
    barrier, answers = context.Barrier(4), context.Queue()
    root = tmp_path / "registry"
    workers = [
        context.Process(target=publish_at_once, args=(folder, root, barrier, answers)) for folder in folders
    ]
    for worker in workers:
        worker.start()
    said = sorted(answers.get(timeout=600) for _ in range(4 * ROUNDS))
    for worker in workers:
        worker.join()
    one_round = ["refused", "refused", "refused", "won"]
    assert said == [(version, answer) for version in range(ROUNDS) for answer in one_round]
    assert all(DirectoryRegistry(root).verify(f"tiny:{version}").verified for version in range(ROUNDS))
    assert list((root / "tiny").glob(f".*{PARTIAL}*")) == []


def test_without_locks_the_rename_decides(
    registry: DirectoryRegistry,
    passed: Artifact,
    tmp_path: Path,
    make_artifact,
    pass_gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the file system has no locks, a version that appears meanwhile still is not replaced."""
    other = make_artifact(tmp_path / "other", model=b"other")
    pass_gate(other)
    elsewhere = DirectoryRegistry(registry.folder)

    def no_lock(handle: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("quantkit.registry.directory.fcntl.flock", no_lock)
    from quantkit.registry import directory

    assemble = directory.assemble

    def assemble_late(artifact: Artifact, *arguments: Any) -> None:
        assemble(artifact, *arguments)
        if artifact.digest == passed.digest:
            elsewhere.publish(other, name="tiny", version="1")

    monkeypatch.setattr(directory, "assemble", assemble_late)
    with pytest.raises(RegistryError, match="never overwritten"):
        registry.publish(passed, name="tiny", version="1")
    assert other.digest == Artifact.open(registry.find("tiny:1")).digest


def test_leftovers_of_dead_publishers_are_cleared(registry: DirectoryRegistry, passed: Artifact) -> None:
    """What a killed publisher left is no version, and the next publisher removes it."""
    leftover = registry.folder / "tiny" / f".1{PARTIAL}dead"
    leftover.mkdir(parents=True)
    assert registry.versions("tiny") == []
    registry.publish(passed, name="tiny", version="1")
    assert not leftover.exists()


@pytest.mark.parametrize(
    "reference", ["../x:1", "a/b:1", "x:../1", "x:..", "x:1/2", ":1", "x:", "X:1", "x", "x:1\n", ".:1"]
)
def test_references_are_words(registry: DirectoryRegistry, reference: str) -> None:
    """No reference is a path."""
    with pytest.raises(RegistryError):
        registry.find(reference)


@given(st.text(max_size=20))
def test_any_text_is_a_plain_reference_or_refused(text: str) -> None:
    """Whatever is parsed has neither a separator nor a dot-dot, and reads back the same."""
    try:
        reference = Reference.parse(text)
    except RegistryError:
        return
    assert text == str(reference)
    assert not {"/", "\\", "\0"} & set(text)
    assert ".." not in text


def test_links_out_of_the_registry_are_refused(
    registry: DirectoryRegistry, passed: Artifact, tmp_path: Path
) -> None:
    """A name that is a link to elsewhere is not followed."""
    registry.folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (registry.folder / "tiny").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RegistryError, match="leads out of the registry"):
        registry.publish(passed, name="tiny", version="1")


def test_missing_version_says_which_there_are(registry: DirectoryRegistry, passed: Artifact) -> None:
    """The error names the published versions, in the order of their numbers."""
    for version in ("1.10", "1.9"):
        registry.publish(passed, name="tiny", version=version)
    with pytest.raises(RegistryError, match=r"has no tiny:2; published: 1\.9, 1\.10"):
        registry.find("tiny:2")


@pytest.mark.parametrize(
    "name", ["model.onnx", "config.json", "reports/gate.json", "reports/predictions.json"]
)
def test_verify_names_the_changed_file(registry: DirectoryRegistry, passed: Artifact, name: str) -> None:
    """One changed byte of any file, reports included, is found and named."""
    place = registry.publish(passed, name="tiny", version="1")
    content = bytearray((place / name).read_bytes())
    content[len(content) // 2] ^= 1
    (place / name).write_bytes(content)
    found = registry.verify("tiny:1")
    assert not found.verified
    assert [name] == [file.name for file in found.files if file.finding == "changed"]
    assert name in (found.problem or "")
    assert found.exit_code == 2


def test_verify_finds_missing_and_foreign_files(registry: DirectoryRegistry, passed: Artifact) -> None:
    """A file that is gone and one that is new are both findings."""
    place = registry.publish(passed, name="tiny", version="1")
    (place / "config.json").unlink()
    (place / "extra").write_text("x")
    findings = {file.name: file.finding for file in registry.verify("tiny:1").files}
    assert (findings["config.json"], findings["extra"]) == ("missing", "not listed")


def test_an_artifact_that_was_never_published_does_not_verify(passed: Artifact) -> None:
    """Before publishing, reports are not sealed, and verify says so."""
    found = verify_artifact(passed.path)
    assert not found.verified
    assert "was never published" in (found.problem or "")


def test_pull_copies_and_verifies(registry: DirectoryRegistry, passed: Artifact, tmp_path: Path) -> None:
    """What is pulled is the artifact, verified, with its reports."""
    registry.publish(passed, name="tiny", version="1")
    pulled = registry.pull("tiny:1", tmp_path / "out")
    assert passed.digest == pulled.digest
    assert verify_artifact(tmp_path / "out").verified


def test_pull_of_damaged_bytes_leaves_nothing(
    registry: DirectoryRegistry, passed: Artifact, tmp_path: Path
) -> None:
    """A damaged version is not pulled, not even in part."""
    place = registry.publish(passed, name="tiny", version="1")
    (place / "model.onnx").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="its bytes are not those"):
        registry.pull("tiny:1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pull_refuses_a_folder_in_use(registry: DirectoryRegistry, passed: Artifact, tmp_path: Path) -> None:
    """Nothing is replaced without force."""
    registry.publish(passed, name="tiny", version="1")
    with pytest.raises(OutputError, match="is not empty"):
        registry.pull("tiny:1", passed.path)
    registry.pull("tiny:1", passed.path, force=True)
    assert verify_artifact(passed.path).verified


def test_a_published_artifact_can_be_published_again_elsewhere(
    registry: DirectoryRegistry, passed: Artifact, tmp_path: Path
) -> None:
    """Promotion from one registry to another keeps the bytes and the evidence."""
    place = registry.publish(passed, name="tiny", version="1")
    second = DirectoryRegistry(tmp_path / "second")
    second.publish(Artifact.open(place), name="tiny", version="1")
    assert second.verify("tiny:1").verified


def test_interrupted_publish_leaves_nothing(
    registry: DirectoryRegistry, passed: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while copying leaves no version and no remains."""

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", interrupt)
        with pytest.raises(KeyboardInterrupt):
            registry.publish(passed, name="tiny", version="1")
    assert [path.name for path in (registry.folder / "tiny").iterdir()] == [".lock"]


def test_full_disk_publishes_nothing(
    registry: DirectoryRegistry, passed: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up while copying, one line says so and no version appears."""

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(OutputError, match="the disk is full"):
            registry.publish(passed, name="tiny", version="1")
    assert registry.names() == []
    assert [path.name for path in (registry.folder / "tiny").iterdir()] == [".lock"]


def test_errors_of_the_registry_are_one_line(registry: DirectoryRegistry, passed: Artifact) -> None:
    """Every refusal is a single line."""
    for name, version in (("Bad Name", "1"), ("tiny", "no way"), ("tiny", "")):
        with pytest.raises(QuantkitError) as refused:
            registry.publish(passed, name=name, version=version)
        assert len(str(refused.value).splitlines()) == 1
