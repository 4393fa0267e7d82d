"""An environment of its own for every peer, built from pinned requirements, and scripts run in it."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_WHOLE = "complete"  # written last: an environment without it is built again


class PeerFailed(Exception):
    """A peer's environment or script failed; the message is the telling line of what it said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A virtual environment.

    Attributes:
        name: stem of its file in `requirements/`.
        python: its interpreter.
    """

    name: str
    python: Path

    def run(self, script: str, arguments: Sequence[str | Path], *, timeout: float) -> dict[str, Any]:
        """Run a script of this folder and return the JSON object in its last line.

        Raises:
            PeerFailed: it ended with an error, took longer than `timeout` seconds, or printed no JSON.
        """
        command = [str(self.python), str(HERE / script), *map(str, arguments)]
        return json_of(run_command(command, timeout=timeout))

    def versions(self) -> dict[str, str]:
        """Return the installed packages."""
        listed = run_command([str(self.python), "-m", "pip", "list", "--format", "json"], timeout=120)
        return {entry["name"]: entry["version"] for entry in json.loads(listed)}


def build(name: str, folder: Path, requirements: Path | None = None) -> Environment:
    """Return the environment of `requirements` under `folder`, building it when it is not there.

    Requirements are `requirements/<name>.txt` unless another file is given.

    Its folder carries a digest of the requirements and of the Python version, so changed pins build a new one.

    Raises:
        PeerFailed: pip cannot install it.
    """
    requirements = requirements or HERE / "requirements" / f"{name}.txt"
    known = requirements.read_bytes() + sys.version.encode()
    place = folder / f"{name}-{hashlib.sha256(known).hexdigest()[:12]}"
    environment = Environment(name=name, python=place / "bin" / "python")
    if not (place / _WHOLE).is_file():
        run_command([sys.executable, "-m", "venv", "--clear", str(place)], timeout=300)
        install = ["-m", "pip", "install", "--quiet", "--requirement", str(requirements)]
        run_command([str(environment.python), *install], timeout=3600)
        (place / _WHOLE).touch()
    return environment


def run_command(command: Sequence[str], *, timeout: float) -> str:
    """Run a program and return its standard output.

    Raises:
        PeerFailed: it ended with an error or took longer than `timeout` seconds.
    """
    # openvino-telemetry is off where it sees a CI job; onnxruntime's is by the variable that quantkit sets.
    environment = {**os.environ, "CI": "true"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"took longer than {timeout:g} s") from None
    if done.returncode != 0:
        raise PeerFailed(telling_line(done.stderr) or f"ended with exit code {done.returncode}")
    return done.stdout


def telling_line(text: str) -> str:
    """Return the line of an error output that says most: the last that is not blank, at most 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def json_of(output: str) -> dict[str, Any]:
    """Return the JSON object in the last line of a script's output.

    Raises:
        PeerFailed: there is none.
    """
    try:
        found = json.loads(output.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        found = None
    if not isinstance(found, dict):
        raise PeerFailed("ended without a result")
    return found
