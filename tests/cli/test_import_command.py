"""quantkit import: options become settings, and the artifact is printed."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.recipe.import_settings import ImportSettings


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_artifact) -> list[Any]:
    """Replace the stage by one that keeps what it was called with."""
    found: list[Any] = []
    made: Artifact = make_artifact(tmp_path / "made")

    def fake(*arguments: Any, **options: Any) -> Artifact:
        found.append((arguments, options))
        return made

    monkeypatch.setattr("quantkit.stages.importing.import_folder", fake)
    return found


def test_options_become_settings(tmp_path: Path, calls: list[Any]) -> None:
    """Every option reaches the stage, and repeats are kept in order."""
    options = (
        "--model m.onnx --precision int8 --companions c --rename a=input_ids --rename b=logits --force --json"
    )
    task = ("--task", "text-classification")
    result = invoke("import", tmp_path / "theirs", "-o", tmp_path / "out", *task, *options.split())
    assert result.exit_code == 0, result.stderr
    expected = ImportSettings(
        model_file="m.onnx", precision="int8", companions="c", rename=("a=input_ids", "b=logits")
    )
    assert calls[0] == (
        (tmp_path / "theirs", tmp_path / "out"),
        {"task": "text-classification", "settings": expected, "force": True},
    )
    assert json.loads(result.stdout)["schema"] == "quantkit/artifact/1"


@pytest.mark.parametrize("said", ["input_ids", "=input_ids", "a=", "a=b=c"])
def test_a_name_needs_two_sides(tmp_path: Path, calls: list[Any], said: str) -> None:
    """--rename is THEIRS=OURS and nothing else."""
    result = invoke("import", tmp_path, "-o", tmp_path / "out", "--rename", said)
    assert (result.exit_code, calls) == (2, [])
    assert "--rename" in result.stderr
