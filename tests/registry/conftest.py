"""An artifact that passed its gate."""

from pathlib import Path

import pytest

from quantkit.artifact import Artifact


@pytest.fixture
def passed(tmp_path: Path, make_artifact, pass_gate) -> Artifact:
    """Return an artifact with everything that publishing asks for."""
    artifact = make_artifact(tmp_path / "artifact")
    pass_gate(artifact)
    return artifact


@pytest.fixture
def make_passed(tmp_path: Path, make_artifact, pass_gate):
    """Return a function that makes another such artifact, with other weights."""

    def make(name: str) -> Artifact:
        artifact = make_artifact(tmp_path / name, model=name.encode() * 1000)
        pass_gate(artifact)
        return artifact

    return make
