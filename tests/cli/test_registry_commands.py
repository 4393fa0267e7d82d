"""publish, verify and pull on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

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


def test_pull_into_a_folder_in_use(passed: Path, tmp_path: Path) -> None:
    """Nothing is replaced without --force."""
    registry = tmp_path / "registry"
    invoke("publish", passed, registry, "--name", "tiny", "--version", "1")
    answer = invoke("pull", "tiny:1", "-o", passed, "--registry", registry)
    assert answer.exit_code == 2
    assert "is not empty" in answer.stderr
    assert invoke("pull", "tiny:1", "-o", passed, "--registry", registry, "--force").exit_code == 0
