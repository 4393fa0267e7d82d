"""The OCI registry, in memory and real: evidence or nothing, once or told, whole or not at all."""

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from oci_server import DockerRegistry, RegistryServer
from urllib3.util.retry import Retry

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, OutputError, PublishRefused, RegistryError
from quantkit.registry import verify_artifact
from quantkit.registry.expected import Expected
from quantkit.registry.oci.client import Blob
from quantkit.registry.oci.registry import OciRegistry


@pytest.fixture
def registry(oci_server: RegistryServer) -> OciRegistry:
    return OciRegistry.at(f"oci://{oci_server.host}/team")


@pytest.fixture
def in_memory(memory_registry: RegistryServer) -> OciRegistry:
    return OciRegistry.at(f"oci://{memory_registry.host}/team")


def test_publish_verify_pull(registry: OciRegistry, passed: Artifact, tmp_path: Path) -> None:
    """What is pulled is the artifact that was published, and it verifies without the registry."""
    place = registry.publish(passed, name="tiny", version="1.0")
    found = registry.verify("tiny:1.0")
    pulled = registry.pull("tiny:1.0", tmp_path / "out")
    assert (found.verified, found.artifact, found.path) == (True, passed.digest, str(place))
    assert pulled.digest == passed.digest
    assert verify_artifact(tmp_path / "out").verified


def test_without_a_gate_report_nothing_is_pushed(
    registry: OciRegistry, oci_server: RegistryServer, tmp_path: Path, make_artifact
) -> None:
    """No report, no release: not one byte is sent."""
    with pytest.raises(PublishRefused, match="has no gate report"):
        registry.publish(make_artifact(tmp_path / "ungated"), name="tiny", version="1")
    assert oci_server.requests == []


def test_a_version_is_never_overwritten(registry: OciRegistry, passed: Artifact, make_passed) -> None:
    """The second publisher of a version is refused, and the first one's bytes stay."""
    registry.publish(passed, name="tiny", version="1")
    with pytest.raises(RegistryError, match="is published and is never overwritten"):
        registry.publish(make_passed("other"), name="tiny", version="1")
    assert registry.verify("tiny:1").artifact == passed.digest


def test_holds_exactly_these_bytes(registry: OciRegistry, passed: Artifact, make_passed) -> None:
    """A pipeline that publishes the same bytes again finds them there, without reading them."""
    assert registry.holds(passed, "tiny:1") is None
    place = registry.publish(passed, name="tiny", version="1")
    assert registry.holds(passed, "tiny:1") == place
    assert registry.holds(make_passed("other"), "tiny:1") is None


def test_equal_files_are_sent_once(
    registry: OciRegistry, oci_server: RegistryServer, passed: Artifact
) -> None:
    """A second version of the same weights sends what is new about it and no weights."""
    registry.publish(passed, name="tiny", version="1")
    before = oci_server.sent("^PUT .*uploads")
    registry.publish(passed, name="tiny", version="2")
    new_files = {
        "manifest.json",
        "reports/release.json",
        "reports/provenance.intoto.json",
        "reports/bom.cdx.json",
    }
    assert oci_server.sent("^PUT .*uploads") - before == len(new_files) + 1


def test_an_interrupted_push_goes_on(
    registry: OciRegistry, oci_server: RegistryServer, passed: Artifact
) -> None:
    """What was sent before the cut is not sent again, and there is no version until all is there."""
    fault = oci_server.fail("^PUT .*manifests/1", "error", times=99)
    with pytest.raises(RegistryError, match="does not answer as it should"):
        registry.publish(passed, name="tiny", version="1")
    assert registry.releases("tiny") == []
    fault.times, oci_server.requests = 0, []
    registry.publish(passed, name="tiny", version="1")
    assert oci_server.sent("^PUT .*uploads") == 0
    assert registry.verify("tiny:1").verified


@pytest.mark.parametrize("kind", ["error", "drop", "slow"])
def test_faults_of_a_push_are_tried_again(
    registry: OciRegistry, oci_server: RegistryServer, passed: Artifact, kind: str
) -> None:
    """Errors of the server, cut connections and slow answers at every step of a push end in a version that verifies."""
    for pattern in (
        "^GET .*manifests",
        "^HEAD .*blobs",
        "^POST .*uploads",
        "^PUT .*uploads",
        "^PUT .*manifests/1",
    ):
        oci_server.fail(pattern, kind, seconds=0.2)
    registry.publish(passed, name="tiny", version="1")
    assert registry.verify("tiny:1").verified
    assert [fault.times for fault in oci_server.faults] == [0] * 5


@pytest.mark.parametrize("kind", ["error", "drop", "cut", "slow"])
def test_faults_of_a_pull_are_tried_again(
    registry: OciRegistry, oci_server: RegistryServer, passed: Artifact, tmp_path: Path, kind: str
) -> None:
    """Cut bodies are taken up where they ended; the copy is whole."""
    registry.publish(passed, name="tiny", version="1")
    oci_server.fail("^GET .*(blobs|manifests/1)", kind, times=3, seconds=0.2)
    assert registry.pull("tiny:1", tmp_path / "out").digest == passed.digest
    assert oci_server.faults[0].times == 0


@pytest.mark.parametrize("kind", ["other", "longer"])
def test_other_bytes_are_refused_and_leave_nothing(
    registry: OciRegistry, oci_server: RegistryServer, passed: Artifact, tmp_path: Path, kind: str
) -> None:
    """A blob that is not what its digest says is no mistake to try again, and no folder appears."""
    registry.publish(passed, name="tiny", version="1")
    oci_server.fail("^GET .*blobs", kind, times=99)
    with pytest.raises(RegistryError, match="do not use it"):
        registry.pull("tiny:1", tmp_path / "out")
    assert [path for path in tmp_path.iterdir() if "out" in path.name] == []


def test_a_registry_that_stays_broken_is_one_line(
    registry: OciRegistry, oci_server: RegistryServer, passed: Artifact, tmp_path: Path
) -> None:
    """After the last try the error says what the registry said."""
    registry.publish(passed, name="tiny", version="1")
    oci_server.fail("^GET .*blobs", "error", times=99, status=503)
    with pytest.raises(RegistryError, match=r"does not answer as it should \(503 .*a fault\)") as refused:
        registry.pull("tiny:1", tmp_path / "out")
    assert len(str(refused.value).splitlines()) == 1


def test_a_publisher_who_lost_is_told(
    registry: OciRegistry, passed: Artifact, make_passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another one's tag is there after ours was put, publish says so and names what is where."""
    OciRegistry.at(str(registry)).publish(make_passed("other"), name="tiny", version="0")
    others = registry.client.manifest("team/tiny", "0")
    assert others is not None
    # The other publisher looked before we wrote, and writes while we wait to read back.
    monkeypatch.setattr(
        "quantkit.registry.oci.registry.time.sleep",
        lambda _: registry.client.put_manifest("team/tiny", "1", others),
    )
    with pytest.raises(RegistryError, match="another publisher took tiny:1 at the same moment"):
        registry.publish(passed, name="tiny", version="1")


def test_of_concurrent_publishers_at_most_one_is_not_told(
    registry: OciRegistry, make_passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four publishers of one version, each with other bytes, started together: one wins, whole."""
    monkeypatch.setattr("quantkit.registry.oci.registry.SETTLE_SECONDS", 1.0)
    artifacts = [make_passed(f"bytes-{index}") for index in range(4)]
    barrier, won, told = threading.Barrier(4), [], []

    def publish(artifact: Artifact) -> None:
        own = OciRegistry.at(str(registry))
        barrier.wait()
        try:
            own.publish(artifact, name="tiny", version="1")
            won.append(artifact.digest)
        except RegistryError as error:
            told.append(str(error))

    threads = [threading.Thread(target=publish, args=(artifact,)) for artifact in artifacts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(told)) == (1, 3), told
    assert registry.verify("tiny:1").artifact == won[0]


def test_a_moved_tag_is_noticed(registry: OciRegistry, passed: Artifact, make_passed, tmp_path: Path) -> None:
    """What was seen here before under this version must still be there, for verify and for pull."""
    place = registry.publish(passed, name="tiny", version="1")
    moved = registry.client.manifest("team/tiny", "1")
    assert moved is not None
    rewritten = moved.replace(b'"tiny"', b'"Tiny"')
    registry.client.put_manifest("team/tiny", "1", rewritten)
    for look in (lambda: registry.verify("tiny:1"), lambda: registry.pull("tiny:1", tmp_path / "out")):
        with pytest.raises(RegistryError, match="its tag was moved"):
            look()
    assert not (tmp_path / "out").exists()
    assert registry.verify(f"tiny:1@{place.digest}").verified
    assert registry.verify("tiny:1", Expected.parse(digest=passed.digest)).verified
    assert registry.verify("tiny:1").verified


def test_a_pinned_digest_is_held(
    registry: OciRegistry, passed: Artifact, make_passed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a machine that never saw the version, --digest refuses another artifact under its name."""
    registry.publish(passed, name="tiny", version="1")
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "another-cache"))
    other = Expected.parse(digest="sha256:" + make_passed("other").digest)
    found = registry.verify("tiny:1", other)
    assert not found.verified
    assert "as --digest says" in str(found.problem)
    with pytest.raises(RegistryError, match="as --digest says"):
        registry.pull("tiny:1", tmp_path / "out", expected=other)


def test_another_release_under_a_tag_is_refused(
    registry: OciRegistry, passed: Artifact, tmp_path: Path
) -> None:
    """An old release, whole and signed or not, is not taken for the version somebody moved to it."""
    registry.publish(passed, name="tiny", version="1")
    content = registry.client.manifest("team/tiny", "1")
    assert content is not None
    registry.client.put_manifest("team/tiny", "2", content)
    with pytest.raises(RegistryError, match="is the release tiny:1, not tiny:2"):
        registry.pull("tiny:2", tmp_path / "out")
    assert not registry.verify("tiny:2").verified


def test_pull_refuses_a_folder_in_use(registry: OciRegistry, passed: Artifact) -> None:
    """Nothing is replaced without force."""
    registry.publish(passed, name="tiny", version="1")
    with pytest.raises(OutputError, match="is not empty"):
        registry.pull("tiny:1", passed.path)
    registry.pull("tiny:1", passed.path, force=True)
    assert verify_artifact(passed.path).verified


def test_missing_version_says_which_there_are(registry: OciRegistry, passed: Artifact) -> None:
    """The error names the published versions."""
    registry.publish(passed, name="tiny", version="1")
    with pytest.raises(RegistryError, match=r"has no tiny:2; published: 1"):
        registry.verify("tiny:2")
    with pytest.raises(RegistryError, match=r"has no none:1; there is nothing under this name"):
        registry.verify("none:1")


def test_names_and_releases(registry: OciRegistry, passed: Artifact) -> None:
    """Names below the path, versions in the order they were published; nothing else."""
    registry.publish(passed, name="tiny", version="1")
    OciRegistry.at(str(registry).replace("/team", "/others")).publish(passed, name="else", version="1")
    assert registry.names() == ["tiny"]
    releases = [(release.version, release.artifact, release.signed) for release in registry.releases("tiny")]
    assert releases == [("1", passed.digest, False)]


def test_tags_of_other_tools_are_no_versions(
    in_memory: OciRegistry, memory_registry: RegistryServer, passed: Artifact
) -> None:
    """Whatever else lives in the repository, the list is of releases, and nothing in it can speak to a terminal."""
    in_memory.publish(passed, name="tiny", version="1")
    memory_registry.move_tag("team/tiny", "image", b'{"layers": []}')
    memory_registry.move_tag("team/tiny", "_odd__", b"{}")
    memory_registry.move_tag("team/tiny", f"sha256-{'0' * 64}.sig", b"{}")
    hostile = memory_registry.content("team/tiny", "1").replace(passed.digest.encode(), b"\\u001b[2J")
    memory_registry.move_tag("team/tiny", "2", hostile)
    artifacts = {release.version: release.artifact for release in in_memory.releases("tiny")}
    assert artifacts == {"1": passed.digest, "2": ""}


def test_removed_versions_are_gone(registry: OciRegistry, passed: Artifact) -> None:
    """What is removed is no version any more, and the others stay."""
    for version in ("1", "2"):
        registry.publish(passed, name="tiny", version=version)
    registry.remove("tiny", "1")
    assert [release.version for release in registry.releases("tiny")] == ["2"]


def test_a_registry_that_does_not_delete_says_so(
    in_memory: OciRegistry, memory_registry: RegistryServer, passed: Artifact
) -> None:
    """Many registries do not; the line says what to do."""
    in_memory.publish(passed, name="tiny", version="1")
    memory_registry.deletes = False
    with pytest.raises(RegistryError, match=r"does not delete .*allow it in its configuration"):
        in_memory.remove("tiny", "1")


def test_a_lost_blob_is_named(
    in_memory: OciRegistry, memory_registry: RegistryServer, passed: Artifact, tmp_path: Path
) -> None:
    """A registry that lost a file says so, and nothing appears."""
    in_memory.publish(passed, name="tiny", version="1")
    memory_registry.blobs.clear()
    with pytest.raises(RegistryError, match="has lost sha256:"):
        in_memory.pull("tiny:1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_manifest_inside_is_refused(
    in_memory: OciRegistry, memory_registry: RegistryServer, passed: Artifact, tmp_path: Path
) -> None:
    """An OCI manifest that fits its blobs, while quantkit's own manifest does not: the seal decides."""
    in_memory.publish(passed, name="tiny", version="1")
    oci = json.loads(memory_registry.content("team/tiny", "1"))
    layer = next(
        entry for entry in oci["layers"] if entry["annotations"]["org.cncf.model.filepath"] == "model.onnx"
    )
    bad = b"other"
    layer |= {"digest": Blob.of(bad).digest, "size": len(bad)}
    memory_registry.blobs[layer["digest"]] = bad
    memory_registry.move_tag("team/tiny", "1", json.dumps(oci).encode())
    expected = Expected.parse(digest=passed.digest)
    with pytest.raises(ArtifactError, match="its bytes are not those of the manifest"):
        in_memory.pull("tiny:1", tmp_path / "out", expected=expected)
    assert not in_memory.verify("tiny:1", expected).verified


def test_versions_that_cannot_be_tags_are_refused(in_memory: OciRegistry, passed: Artifact) -> None:
    """A + is good in a folder and not in a tag."""
    with pytest.raises(RegistryError, match="cannot be a version in an OCI registry"):
        in_memory.publish(passed, name="tiny", version="1+x")


def test_the_registry_restarts_in_the_middle_of_a_push(
    docker_registry: DockerRegistry, quick_retries: None, passed: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real registry that is killed between two blobs and comes back: the push goes on and verifies."""
    monkeypatch.setattr("quantkit.registry.oci.transport.POLICY", Retry(total=6, backoff_factor=0.1))
    proxy = RegistryServer(upstream=docker_registry.port)

    def restart() -> None:
        docker_registry.kill()
        threading.Timer(0.5, docker_registry.start).start()

    proxy.fail("^PUT .*uploads", "error", times=1)
    proxy.faults[0].then = restart
    registry = OciRegistry.at(f"oci://{proxy.host}/team")
    registry.publish(passed, name="tiny", version="1")
    assert registry.verify("tiny:1").verified
    proxy.close()


def test_skopeo_copies_what_we_push(
    docker_registry: DockerRegistry, quick_retries: None, passed: Artifact, tmp_path: Path
) -> None:
    """A container tool copies the artifact out, file by file, by the same digests."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed: apt-get install -y skopeo")
    registry = OciRegistry.at(f"oci://{docker_registry.host}/team")
    registry.publish(passed, name="tiny", version="1")
    source = f"docker://{docker_registry.host}/team/tiny:1"
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--src-tls-verify=false", source, f"oci:{tmp_path / 'copy'}:1"],
        check=True,
        capture_output=True,
    )
    model = passed.manifest.files["model.onnx"].sha256
    assert (tmp_path / "copy" / "blobs" / "sha256" / model).read_bytes() == passed.model_path.read_bytes()
