"""Shell completion: names that are known, files and folders, as click is asked and as bash shows them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an artifact, a recipe and data to be found."""
    for name in ("int8", "inner"):
        (tmp_path / name).mkdir()
    for name in ("notes.json", "squad.json", "minilm mine.yaml"):
        (tmp_path / name).touch()
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def asked(folder: Path, *words: str) -> list[str]:
    """Return what the program answers to a shell that completes the last of the words: `kind,value` a line."""
    answer = subprocess.run(
        [sys.executable, "-m", "quantkit"],
        cwd=folder,
        env=environment(
            _QUANTKIT_COMPLETE="bash_complete",
            COMP_WORDS="\n".join(("quantkit", *words)),
            COMP_CWORD=str(len(words)),
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ga",), ["plain,gate"]),
        (("gate", "in"), ["dir,in"]),
        (("gate", "int8", "--baseline", "in"), ["dir,in"]),
        (("bench", "-m", "in"), ["dir,in"]),
        (("verify", "in"), ["dir,in"]),
        (("gate", "int8", "--junit", "no"), ["file,no"]),
        (("list", "--registry", "in"), ["dir,in"]),
        (("publish", "int8", "in"), ["dir,in"]),
        (("verify", "int8", "--require-signer", "no"), ["file,no"]),
        (("quantize", "int8", "-o", "ou"), ["dir,ou"]),
        (("run", "minilm-s"), ["plain,minilm-search", "plain,minilm-static", "file,minilm-s"]),
        (("export", "qu"), ["plain,quickstart", "dir,qu"]),
        (("evaluate", "int8", "--data", "squad"), ["plain,squad", "plain,squad-train", "file,squad"]),
        (("quantize", "int8", "--calib", "callcentre-n"), ["plain,callcentre-names", "file,callcentre-n"]),
        (("quantize", "int8", "--calib-method", "m"), ["plain,minmax", "plain,mse"]),
        (("quantize", "int8", "--smooth-quant", "a"), ["plain,auto"]),
        (("quantize", "int8", "--calib-m"), ["plain,--calib-method"]),
    ],
)
def test_what_is_offered(folder: Path, words: tuple[str, ...], expected: list[str]) -> None:
    """Commands, options, choices, names of recipes and data, and whether files or folders go there."""
    assert asked(folder, *words) == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("gate in", {"int8", "inner"}),
        (
            "run minilm",
            {"minilm-auto", "minilm-dynamic", "minilm-search", "minilm-static", "minilm mine.yaml"},
        ),
        ("evaluate int8 --data squad", {"squad", "squad-train", "squad.json"}),
        ("gate int8 --junit no", {"notes.json"}),
    ],
)
def test_bash_shows_it(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, words: str, expected: set[str]
) -> None:
    """The script that `quantkit completion bash` prints offers names and files side by side."""
    program = tmp_path_factory.mktemp("bin") / "quantkit"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m quantkit "$@"\n')
    program.chmod(0o755)
    script = """
source <(quantkit completion bash 2> /dev/null)
compopt() { :; }  # there is no readline to tell
COMP_WORDS=(quantkit "$@") COMP_CWORD=$# COMPREPLY=()
_quantkit_completion quantkit
printf '%s\\n' "${COMPREPLY[@]}"
"""
    answer = subprocess.run(
        ["bash", "-c", script, "bash", *words.split()],
        cwd=folder,
        env=environment(PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(answer.stdout.splitlines()) == expected
