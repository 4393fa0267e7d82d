"""docs/registry.md, line by line: what stands there is what the commands print, against a registry on loopback."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from oci_server import DockerRegistry, RegistryServer

from quantkit.cli.main import main

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "registry.md").read_text(encoding="utf-8")


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return a real registry where it is installed, and one in memory elsewhere."""
    if shutil.which("docker-registry") is None:
        server: RegistryServer = request.getfixturevalue("memory_registry")
        yield server.host
        return
    real: DockerRegistry = request.getfixturevalue("docker_registry")
    yield real.host


def steps() -> list[tuple[str, list[str]]]:
    """Return every command of the transcript with the lines that stand under it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", DOCUMENT, re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line.strip())
    return found


def test_the_transcript_is_true(
    host: str, no_login: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gate, publish and sign by a policy, verify, promote, pull, tamper in eight ways, verify: all as documented."""
    pytest.importorskip("torch", reason="the quickstart exports")
    pytest.importorskip("model_signing.signing", reason="pip install 'quantkit[sign]'")
    for program in ("openssl", "curl", "bash"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    monkeypatch.chdir(tmp_path)
    for command, lines in steps():
        code, said = run(command.replace("localhost:5000", host))
        refused = any(line.startswith("error: ") for line in lines)
        expected = (3 if "publish" in command else 2) if refused else 0
        assert code == expected, f"{command}\n{said}"
        for line in lines:
            pattern = r"\s*.*".join(
                re.escape(part.strip()) for part in line.replace("localhost:5000", host).split("…")
            )
            assert re.search(f"^\\s*{pattern}\\s*$", said, re.M), f"{command}\n{line}\n{said}"


def run(command: str) -> tuple[int, str]:
    """Run one line, quantkit's in this process; return its exit code and all it printed."""
    setting = re.match(r"([A-Z_]+)=(\S+) (quantkit .*)", command)
    environment = {setting[1]: setting[2]} if setting else {}
    plain = setting[3] if setting else command
    if plain.startswith("quantkit "):
        result = CliRunner().invoke(main, shlex.split(plain)[1:], env=environment)
        return result.exit_code, result.stdout + result.stderr
    shell = ["bash", "-c", plain]
    ran = subprocess.run(shell, capture_output=True, text=True, check=False, env={**os.environ})
    return ran.returncode, ran.stdout + ran.stderr


def test_the_transcript_has_eight_ways() -> None:
    """The pattern that finds commands finds them all, and the refusals among them."""
    refusals = [line for _, lines in steps() for line in lines if line.startswith("error: ")]
    assert len(refusals) == 12
    assert DOCUMENT.count("\n$ ") == len(steps())
