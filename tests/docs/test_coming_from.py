"""docs/coming-from/: our side of every page is run, theirs where the tool is installed; all of it by its script."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from quantkit.cli.main import main
from quantkit.shipped import calibration_folder, quickstart_model

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "coming-from"


def script(name: str) -> ModuleType:
    """Return a script of benchmarks/peers, where it finds the scripts beside it."""
    path = ROOT / "benchmarks" / "peers" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(path.parent))
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    return module


READING, RUNNING = script("pages"), script("coming_from")
TOOLS = tuple(RUNNING.REQUIREMENTS)
EVERY = {name: READING.read_page(PAGES / f"{name}.md", {"quantkit", *TOOLS}) for name in ("index", *TOOLS)}

OURS = (
    "quantkit export checkpoint -o fp32 --task squad",
    "quantkit quantize fp32 -o int8 --mode static --calib questions.json",
    "quantkit quantize fp32 -o int8-dynamic --mode dynamic",
    "quantkit gate int8-dynamic --baseline fp32 --data callcentre",
    "quantkit gate int8 --baseline fp32 --data callcentre",
    "quantkit export checkpoint -o plain --task squad --no-fuse",
)


def test_every_tool_has_a_page() -> None:
    """A page has commands of its tool and of quantkit, and the index leads to it."""
    assert {path.stem for path in PAGES.glob("*.md")} == set(EVERY)
    index = (PAGES / "index.md").read_text(encoding="utf-8")
    for name in TOOLS:
        assert {command.environment for command in EVERY[name].commands} == {name, "quantkit"}
        assert f"]({name}.md)" in index


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder that pages begin with, with few questions; the current one."""
    pytest.importorskip("torch", reason="export needs pip install 'quantkit[export]'")
    pytest.importorskip("transformers", reason="export needs pip install 'quantkit[export]'")
    place = tmp_path_factory.mktemp("pages")
    shutil.copytree(quickstart_model(), place / "checkpoint")
    asked = json.loads((calibration_folder() / "callcentre" / "calibration.json").read_text(encoding="utf-8"))
    for article in asked["data"]:
        del article["paragraphs"][2:]
    (place / "questions.json").write_text(json.dumps(asked))
    for page in EVERY.values():
        for name, content in page.files.items():
            (place / name).write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("QUANTKIT_CACHE", str(place / "cache"))
        patch.setenv("COLUMNS", "200")
        yield place


@pytest.fixture(scope="module")
def made(folder: Path) -> Path:
    """Return the folder after our commands, each of which ended and printed as its page says."""
    for line in OURS:
        command = next(
            command for page in EVERY.values() for command in page.commands if command.line == line
        )
        result = CliRunner().invoke(main, shlex.split(line)[1:])
        assert result.exit_code == command.code, f"{line}\n{result.output}"
        assert command.not_printed(result.output) == [], line
    return folder


@pytest.mark.slow
def test_our_side(made: Path) -> None:
    """What the pages say to type here does what they say, also without quantkit: `ask.py`."""
    said = subprocess.run([sys.executable, "ask.py"], cwd=made, capture_output=True, text=True, check=True)
    assert said.stdout == "round vacuum\n"


def test_our_side_is_run() -> None:
    """Every command of ours on what ships with quantkit is among those that run here; others want what a tool makes."""
    lines = {command.line for page in EVERY.values() for command in page.commands}
    shipped = r"quantkit \w+ (checkpoint|fp32|plain|int8|int8-dynamic) "
    assert {line for line in lines if re.match(shipped, line)} == set(OURS)


@pytest.mark.parametrize(
    ("module", "name", "answer"),
    [
        ("optimum.onnxruntime", "optimum_answer.py", "round vacuum"),
        ("optimum.onnxruntime", "optimum_classify.py", "delivery"),
        ("sentence_transformers", "sentences_embed.py", "ok 384"),
    ],
)
def test_in_another_tool(request: pytest.FixtureRequest, module: str, name: str, answer: str) -> None:
    """A script of a page does in this environment what the page says, where its tool is installed."""
    pytest.importorskip(module, reason=f"{module} is not installed beside quantkit; coming_from.py runs it")
    folder: Path = request.getfixturevalue("made")
    content = next(page.files[name] for page in EVERY.values() if name in page.files)
    needed = re.search(r'"([\w-]+-int8)"', content)
    if needed is not None and not (folder / needed[1]).exists():
        pytest.skip(f"{needed[1]} does not ship; coming_from.py makes it")
    said = subprocess.run(
        [sys.executable, "-c", content],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout.strip()) == (0, answer), said.stderr
