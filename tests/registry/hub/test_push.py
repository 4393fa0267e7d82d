"""Releases uploaded to a Hub and fetched from it, through huggingface_hub and a stand-in on loopback."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hub_server import HubServer

from quantkit.artifact import Artifact
from quantkit.artifact.hub_files import CARD
from quantkit.cli.main import main
from quantkit.errors import RegistryError
from quantkit.registry.hub.fetch import fetch
from quantkit.registry.hub.location import HubLocation

PLACE = "hf://ann/tiny"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def pushed(hub: HubServer, passed: Artifact, tmp_path: Path) -> Result:
    """Return what publishing with --push answered."""
    asked = ("--name", "tiny", "--version", "1", "--push", PLACE, "--json")
    return invoke("publish", passed.path, tmp_path / "registry", *asked)


def test_what_is_pushed_is_pulled(hub: HubServer, pushed: Result, passed: Artifact, tmp_path: Path) -> None:
    """A new repository is private and holds the folder, byte by byte; from there it verifies and is pulled."""
    assert (pushed.exit_code, pushed.stderr) == (0, "")
    assert (hub.created, hub.unknown) == ({"ann/tiny": True}, [])
    commit, tree = hub.tree("ann/tiny") or ("", {})
    assert json.loads(pushed.stdout)["pushed"]["commit"] == commit
    place = tmp_path / "registry" / "tiny" / "1"
    there = {
        path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()
    }
    assert tree == there
    verified = invoke("verify", PLACE, "--digest", passed.digest, "--json")
    assert (verified.exit_code, verified.stderr) == (0, "")
    assert json.loads(verified.stdout)["release"] == "tiny:1"
    pulled = invoke("pull", PLACE, "-o", tmp_path / "out")
    assert (pulled.exit_code, pulled.stderr) == (0, "")
    assert Artifact.open(tmp_path / "out").digest == passed.digest


def test_a_snapshot_in_the_cache_opens_in_place(hub: HubServer, pushed: Result, passed: Artifact) -> None:
    """Its files are links to blobs of the same repository; links elsewhere are refused as ever."""
    assert pushed.exit_code == 0
    folder = fetch(HubLocation.parse(PLACE))
    assert (folder / "model.onnx").is_symlink()
    assert Artifact.open(folder).digest == passed.digest
    assert invoke("verify", folder).exit_code == 0
    elsewhere = folder.parents[3] / "weights"
    elsewhere.write_bytes((folder / "model.onnx").read_bytes())
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(elsewhere)
    refused = invoke("verify", folder)
    assert (refused.exit_code, "leaves the folder" in refused.stderr) == (2, True)


def test_a_changed_file_is_found(hub: HubServer, pushed: Result) -> None:
    """Whoever may write to the repository changes a byte, or adds code: neither is verified nor pulled."""
    assert pushed.exit_code == 0
    _, tree = hub.tree("ann/tiny") or ("", {})
    hub.commit("ann/tiny", "main", {**tree, "model.onnx": b"other"})
    assert "its bytes are not those of the manifest" in invoke("verify", PLACE).stderr
    hub.commit("ann/tiny", "main", {**tree, "modeling_bert.py": b"import os"})
    assert "modeling_bert.py: is not listed" in invoke("verify", PLACE).stderr


def test_the_next_release_replaces_the_last(
    hub: HubServer, pushed: Result, make_passed, tmp_path: Path
) -> None:
    """What a former release left goes, a licence stays; another branch is made; foreign files are not touched."""
    assert pushed.exit_code == 0
    _, tree = hub.tree("ann/tiny") or ("", {})
    hub.commit("ann/tiny", "main", {**tree, "LICENSE": b"mine", "reports/bench.json": b"{}"})
    other = make_passed("other")
    asked = ("publish", other.path, tmp_path / "registry", "--name", "tiny", "--version", "2")
    for place in (PLACE, f"{PLACE}:next"):
        done = invoke(*asked, "--push", place, "--json")
        assert (done.exit_code, done.stderr) == (0, "")
    _, tree = hub.tree("ann/tiny") or ("", {})
    assert ("LICENSE" in tree, "reports/bench.json" in tree, CARD in tree) == (True, False, True)
    assert json.loads(invoke("verify", f"{PLACE}:next", "--json").stdout)["release"] == "tiny:2"
    hub.commit("ann/tiny", "main", {**tree, "pytorch_model.bin": b"x"})
    refused = invoke(*asked, "--push", PLACE)
    assert (refused.exit_code, "holds pytorch_model.bin" in refused.stderr) == (2, True)


def test_what_is_not_there(hub: HubServer) -> None:
    """No such model and no such revision are one line each; a repository without a manifest is no artifact."""
    answers = [invoke("pull", place, "-o", "out") for place in ("hf://ann/none", "hf://nobody/empty:v9")]
    assert [answer.exit_code for answer in answers] == [2, 2]
    assert "has no such model" in answers[0].stderr
    assert "has no such revision" in answers[1].stderr


def test_without_huggingface_hub_it_says_what_to_install(
    passed: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, and nothing published."""
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    asked = ("publish", passed.path, tmp_path / "registry", "--name", "tiny", "--version", "1")
    refused = invoke(*asked, "--layout", "hub")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "error: layout hub: huggingface_hub is not installed; run: pip install 'quantkit[hub]'\n",
    )
    assert not (tmp_path / "registry" / "tiny" / "1").exists()


@pytest.mark.parametrize(
    "text", ["hf://tiny", "hf://a/b/c", "hf://../b", "hf://a/b:", "hf://a/b:x..y", "hf://a/b c"]
)
def test_addresses_that_are_none(text: str) -> None:
    """Owner and name, and nothing else."""
    with pytest.raises(RegistryError, match="is no model of the Hub"):
        HubLocation.parse(text)
