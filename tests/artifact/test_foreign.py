"""Folders of other tools: their models are found, and the line that imports one can be typed as it is."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from quantkit.artifact import Artifact
from quantkit.artifact.foreign import import_line, onnx_files
from quantkit.cli.main import main
from quantkit.errors import ArtifactError


def make(folder: Path, *names: str, config: str = "") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"model")
    if config:
        (folder / "config.json").write_text(config)
    return folder


def test_models_are_found(tmp_path: Path) -> None:
    """In the folder and right below it, and in no hidden folder or deeper."""
    folder = make(tmp_path / "f", "b.onnx", "onnx/a.onnx", ".cache/c.onnx", "one/two/d.onnx", "e.onnx.data")
    assert onnx_files(folder) == ["b.onnx", "onnx/a.onnx"]


@pytest.mark.parametrize(
    ("names", "config", "options"),
    [
        (("model_quantized.onnx",), "", ""),
        (("b.onnx", "a.onnx"), "", " --model a.onnx"),
        (
            ("a.onnx",),
            '{"architectures": ["BertForSequenceClassification"]}',
            " --task text-classification",
        ),
        (("a.onnx",), '{"architectures": ["BertForQuestionAnswering"]}', ""),
        (("a.onnx",), '{"architectures": 3}', ""),
        (("a.onnx",), "[" * 100_000, ""),
    ],
)
def test_line(tmp_path: Path, names: tuple[str, ...], config: str, options: str) -> None:
    """The line names the folder, a new one, and what a user would be asked for."""
    folder = make(tmp_path / "my model", *names, config=config)
    assert (
        import_line(folder) == f"quantkit import {shlex.quote(str(folder))} -o 'my model-imported'{options}"
    )


def test_no_line_without_a_model(tmp_path: Path) -> None:
    """A folder without ONNX is not offered to import."""
    assert import_line(make(tmp_path / "f", "model.safetensors")) is None


def test_opening_offers_the_line(tmp_path: Path) -> None:
    """What is opened as an artifact and is a folder of another tool says how it becomes one."""
    folder = make(tmp_path / "theirs", "model.onnx")
    with pytest.raises(ArtifactError) as error:
        Artifact.open(folder)
    assert str(error.value).endswith(f"imported: `quantkit import {folder} -o theirs-imported`")


@pytest.mark.parametrize(
    "command",
    [
        "gate theirs --baseline theirs",
        "evaluate theirs --data callcentre",
        "inspect theirs",
        "bench theirs",
        "quantize theirs -o out --mode dynamic",
        "fuse theirs -o out",
        "tune theirs",
        "publish theirs registry --name a --version 1",
    ],
)
def test_commands_offer_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Every command that works on an artifact says it, and ends as a mistake of the user does."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "theirs", "model_quantized.onnx")
    result = CliRunner().invoke(main, shlex.split(command))
    assert "`quantkit import theirs -o theirs-imported`" in result.stderr
    assert (result.exit_code, result.stdout) == (2, "")
