"""docs/how-to/: every command is one that quantkit has, and does what its page says."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from scripts import load_script

from quantkit.cli.main import main
from quantkit.shipped import calibration_folder, quickstart_model

ROOT = Path(__file__).resolve().parents[2]
# In this order: what a page made is there for the next.
HOW_TO = ("own-model", "gate-fails")


PAGES = load_script("benchmarks/peers/pages.py", "how_to_pages")
EVERY = [
    pytest.param(page, id=page.relative_to(ROOT / "docs").as_posix())
    for folder in ("how-to", "coming-from")
    for page in sorted((ROOT / "docs" / folder).glob("*.md"))
]


@pytest.mark.parametrize("page", EVERY)
def test_options_are_there(page: Path) -> None:
    """Every command of ours is one, with the options that it has."""
    for command in PAGES.read_page(page).commands:
        program, *words = shlex.split(command.line)
        if program == "quantkit":
            with click.Context(main) as context:
                name, found, rest = main.resolve_command(context, words)
                assert found is not None, command.line
                while isinstance(found, click.Group):
                    name, found, rest = found.resolve_command(context, rest)
                    assert found is not None, command.line
                found.make_context(name, list(rest), parent=context)


def test_pages_are_run_in_an_order() -> None:
    """No page is left out below."""
    assert {f"{name}.md" for name in HOW_TO} == {
        page.name for page in (ROOT / "docs" / "how-to").glob("*.md")
    }


@pytest.mark.slow
def test_how_to(tmp_path: Path) -> None:
    """What the pages say to type ends and prints as they say, on the model and questions that ship."""
    pytest.importorskip("torch", reason="export needs pip install 'quantkit[export]'")
    shutil.copytree(quickstart_model(), tmp_path / "my-checkpoint")
    shutil.copyfile(calibration_folder() / "callcentre" / "calibration.json", tmp_path / "my-questions.json")
    data = ROOT / "quantkit" / "quickstart" / "data" / "callcentre-heldout.json"
    shutil.copyfile(data, tmp_path / "heldout.json")
    done = set()
    for page in (PAGES.read_page(ROOT / "docs" / "how-to" / f"{name}.md") for name in HOW_TO):
        for name, content in page.files.items():
            (tmp_path / name).write_text(content)
        for command in (command for command in page.commands if command.line not in done):
            said = subprocess.run(
                [sys.executable, *shlex.split(command.line.replace("quantkit", "-m quantkit", 1))]
                if command.line.startswith("quantkit")
                else [sys.executable, *shlex.split(command.line)[1:]],
                cwd=tmp_path,
                env={**os.environ, "COLUMNS": "200"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert said.returncode == command.code, f"{command.line}\n{said.stdout}{said.stderr}"
            assert command.not_printed(said.stdout + said.stderr) == [], f"{command.line}\n{said.stdout}"
            done.add(command.line)
