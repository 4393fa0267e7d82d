"""docs/coming-from/: our side of every page is run, theirs where the tool is installed; all of it by its script."""

import importlib.util
import json
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
from tiny_models import save_tiny

import quantkit
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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("task", "head", "kind", "asked"),
    [
        (
            "text-classification",
            "ORTModelForSequenceClassification",
            "text-classification",
            ("bad bad good",),
        ),
        ("squad", "ORTModelForQuestionAnswering", "question-answering", ("who wrote it?", "ann wrote it.")),
    ],
)
def test_optimum_loads_an_artifact(
    tmp_path: Path, task: str, head: str, kind: str, asked: tuple[str, ...]
) -> None:
    """Unchanged, in an ORTModel and transformers' pipeline, it answers as `quantkit.load` does."""
    # Its transformers is older than export's, so what stands on the pages is run by coming_from.py.
    optimum = pytest.importorskip(
        "optimum.onnxruntime", reason="needs pip install 'optimum-onnx[onnxruntime]'"
    )
    transformers = pytest.importorskip("transformers")
    folder = save_tiny(tmp_path / "tiny", task=task).path
    model = getattr(optimum, head).from_pretrained(folder, file_name="model.onnx")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    answering = transformers.pipeline(kind, model=model, tokenizer=tokenizer)
    with quantkit.load(folder) as loaded:
        if task == "squad":
            question, context = asked
            said = answering(question=question, context=context, max_answer_len=30, align_to_words=False)
            assert said["answer"] == loaded.answer(question, context).text
            return
        (said,) = answering(*asked)
        best = loaded.classify(*asked)[0]
        assert (said["label"], said["score"]) == (best.name, pytest.approx(best.score, abs=1e-6))
