"""publish, verify and pull on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from oci_server import RegistryServer
from security.forging import seal

from quantkit.cli.main import main


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def passed(tmp_path: Path, make_artifact, pass_gate) -> Path:
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact)
    return artifact.path


def test_publish_verify_pull(passed: Path, tmp_path: Path) -> None:
    """The way of a release, in JSON: every answer is one object with a schema and the same digest."""
    registry = tmp_path / "registry"
    answers = [
        invoke("publish", passed, registry, "--name", "tiny", "--version", "1.0", "--json"),
        invoke("publish", passed, "--registry", registry, "--name", "tiny", "--version", "1.0", "--json"),
        invoke("verify", "tiny:1.0", "--registry", registry, "--json"),
        invoke("pull", "tiny:1.0", "-o", tmp_path / "out", "--registry", registry, "--json"),
        invoke("verify", tmp_path / "out", "--json"),
    ]
    assert [answer.exit_code for answer in answers] == [0] * 5
    objects = [json.loads(answer.stdout) for answer in answers]
    assert [content["schema"] for content in objects] == [
        "quantkit/publication/1",
        "quantkit/publication/1",
        "quantkit/verification/1",
        "quantkit/artifact/1",
        "quantkit/verification/1",
    ]
    assert len({content["artifact"] for content in objects}) == 1
    assert (objects[0]["already_published"], objects[1]["already_published"]) == (False, True)
    assert objects[2]["verified"]


def test_tables_tell_the_same(passed: Path, tmp_path: Path) -> None:
    """Without --json people read the digest, the path and the verdict."""
    registry = tmp_path / "registry"
    published = invoke("publish", passed, registry, "--name", "tiny", "--version", "1.0")
    assert str(registry / "tiny" / "1.0") in published.stdout
    verified = invoke("verify", "tiny:1.0", "--registry", registry)
    assert "reports/gate.json" in verified.stdout
    assert "verified" in verified.stdout
    pulled = invoke("pull", "tiny:1.0", "-o", tmp_path / "out", "--registry", registry)
    assert str(tmp_path / "out") in pulled.stdout
    assert "verified: bytes, release and gate" in pulled.stdout
    assert "signature" not in pulled.stdout


def test_refusals_have_their_exit_codes(passed: Path, tmp_path: Path, make_artifact, pass_gate) -> None:
    """No gate and a failed gate are 3; a report for another digest and a version that exists are 2."""
    registry = tmp_path / "registry"
    ungated = make_artifact(tmp_path / "ungated", model=b"a")
    failed = make_artifact(tmp_path / "failed", model=b"b")
    pass_gate(failed, verdict="fail")
    foreign = make_artifact(tmp_path / "foreign", model=b"c")
    pass_gate(foreign, digest="9" * 64)
    other = make_artifact(tmp_path / "other", model=b"d")
    pass_gate(other)
    assert invoke("publish", passed, registry, "--name", "tiny", "--version", "1").exit_code == 0
    artifacts = (ungated.path, failed.path, foreign.path, other.path)
    answers = [invoke("publish", path, registry, "--name", "tiny", "--version", "1") for path in artifacts]
    assert [answer.exit_code for answer in answers] == [3, 3, 2, 2]
    assert [len(answer.stderr.splitlines()) for answer in answers] == [1] * 4


def test_verify_of_changed_bytes_is_exit_2(passed: Path, tmp_path: Path) -> None:
    """The table shows every file, the line names the first that was changed; JSON is printed all the same."""
    registry = tmp_path / "registry"
    invoke("publish", passed, registry, "--name", "tiny", "--version", "1")
    (registry / "tiny" / "1" / "config.json").write_text("{}")
    answer = invoke("verify", "tiny:1", "--registry", registry, "--json")
    assert answer.exit_code == 2
    assert not json.loads(answer.stdout)["verified"]
    assert "config.json: its bytes are not those of the manifest" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize(("content", "code"), [('{"cut', 2), ('{"a": 1}', 2), (None, 3)])
def test_all_commands_agree_on_evidence(passed: Path, tmp_path: Path, content: str | None, code: int) -> None:
    """Evidence that cannot be read is exit code 2, evidence that can be read and does not hold 3, for every command."""
    registry = tmp_path / "registry"
    assert invoke("publish", passed, registry, "--name", "tiny", "--version", "1").exit_code == 0
    there = registry / "tiny" / "1"
    for folder in (passed, there):
        for path in folder.glob("reports/evaluation*.json"):
            whole = json.loads(path.read_text())
            path.write_text(json.dumps({**whole, "f1": whole["f1"] / 2}) if content is None else content)
    seal(there)
    answers = [
        invoke("publish", passed, registry, "--name", "tiny", "--version", "2"),
        invoke("verify", "tiny:1", "--registry", registry),
        invoke("pull", "tiny:1", "-o", tmp_path / "out", "--registry", registry),
    ]
    assert [answer.exit_code for answer in answers] == [code] * 3, [answer.stderr for answer in answers]
    assert [len(answer.stderr.splitlines()) for answer in answers] == [1] * 3


def test_pull_into_a_folder_in_use(passed: Path, tmp_path: Path) -> None:
    """Nothing is replaced without --force."""
    registry = tmp_path / "registry"
    invoke("publish", passed, registry, "--name", "tiny", "--version", "1")
    answer = invoke("pull", "tiny:1", "-o", passed, "--registry", registry)
    assert answer.exit_code == 2
    assert "is not empty" in answer.stderr
    assert invoke("pull", "tiny:1", "-o", passed, "--registry", registry, "--force").exit_code == 0


@pytest.fixture(params=["directory", "oci"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a registry of each kind, as --registry takes it."""
    if request.param == "directory":
        return str(tmp_path / "registry")
    server: RegistryServer = request.getfixturevalue("memory_registry")
    return f"oci://{server.host}/team"


def test_channels_on_the_command_line(passed: Path, place: str) -> None:
    """promote, list, rollback and gc answer with one object each, alike for a folder and OCI."""
    for version in ("1", "2"):
        assert invoke("publish", passed, place, "--name", "tiny", "--version", version).exit_code == 0
        promoted = invoke("promote", f"tiny:{version}", "production", "--registry", place, "--json")
    assert json.loads(promoted.stdout) == {
        "schema": "quantkit/channel/1",
        "name": "tiny",
        "channel": "production",
        "before": "1",
        "version": "2",
    }
    listed = json.loads(invoke("list", "--registry", place, "--json").stdout)
    (tiny,) = listed["names"]
    assert (listed["schema"], tiny["channels"]) == ("quantkit/registry/1", {"production": "2"})
    assert [version["channels"] for version in tiny["versions"]] == [[], ["production"]]
    assert "production" in invoke("list", "tiny", "--registry", place).stdout
    rolled = invoke("rollback", "tiny:production", "--registry", place)
    assert "before: 2" in rolled.stdout
    garbage = ("gc", "tiny", "--keep", "0", "--registry", place)
    assert "tiny:2" in invoke(*garbage).stdout
    assert [entry["version"] for entry in json.loads(invoke(*garbage, "--json").stdout)["versions"]] == ["2"]
    assert json.loads(invoke(*garbage, "--delete", "--json").stdout)["deleted"]
    assert invoke("verify", "tiny:2", "--registry", place).exit_code == 2
    assert invoke("verify", "tiny:production", "--registry", place).exit_code == 0


def test_the_whole_reference_in_one(passed: Path, memory_registry: RegistryServer, tmp_path: Path) -> None:
    """oci:// with name and version needs no --registry, and its digest pins it."""
    registry = f"oci://{memory_registry.host}/team"
    answer = json.loads(
        invoke("publish", passed, registry, "--name", "tiny", "--version", "1", "--json").stdout
    )
    assert answer["path"].startswith(f"{registry}/tiny:1@sha256:")
    assert invoke("verify", answer["path"], "--digest", answer["artifact"]).exit_code == 0
    assert invoke("pull", f"{registry}/tiny:1", "-o", tmp_path / "out").exit_code == 0
    assert "tiny:1" in invoke("list", f"{registry}/tiny").stdout
    wrong = invoke("verify", answer["path"], "--digest", "0" * 64)
    assert wrong.exit_code == 2
    assert "as --digest says" in wrong.stderr


def test_what_is_published_unsigned_is_not_signed_later(passed: Path, place: str, tmp_path: Path) -> None:
    """Publishing again with a key says so, instead of doing nothing."""
    pytest.importorskip("model_signing.signing", reason="pip install 'quantkit[sign]'")
    from signing_keys import make_key

    publish = ("publish", passed, place, "--name", "tiny", "--version", "1")
    private, public = make_key(tmp_path, "release")
    assert invoke(*publish).exit_code == 0
    answer = invoke(*publish, "--sign-key", private)
    assert answer.exit_code == 2
    assert "is published without a signature" in answer.stderr
    signed = invoke(*publish[:-1], "2", "--sign-key", private, "--json")
    assert json.loads(signed.stdout)["signed"]
    verified = invoke("verify", "tiny:2", "--registry", place, "--require-signer", public, "--json")
    assert json.loads(verified.stdout)["signature"] == "valid"
