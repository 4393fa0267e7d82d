"""What nobody trusts is run by a process with limits: it ends in one line, and leaves this process as it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner
from tiny_models import TEXTS, WORDS, save_tiny, tiny_graph

from quantkit.cli.main import main
from quantkit.errors import EvaluationError
from quantkit.pipeline.confined import Confined
from quantkit.recipe.settings import EvaluateSettings
from quantkit.runtime.confinement import Confinement, Limits
from quantkit.stages.evaluate import answer, evaluate

SMALL = "--untrusted --time-limit 2 --memory-limit 0.5"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    Path("texts.jsonl").write_text(TEXTS)


def run(command: str) -> Any:
    return CliRunner().invoke(main, command.split())


def _graph(before: str) -> onnx.ModelProto:
    """Return the classifier with nodes before its own, whose `big` is added to its logits as a mean."""
    model = tiny_graph("text-classification")
    parsed = onnx.parser.parse_graph(f"g (int64[b, s] input_ids) => (float big) {{ {before} }}")
    last = model.graph.node[-1]
    last.output[0] = "own"
    added = onnx.helper.make_node("Add", ["own", "big"], ["logits"], name="added")
    nodes = [*parsed.node, *model.graph.node, added]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(parsed.initializer)
    return model


def _loop(trips: int, body: str) -> onnx.ModelProto:
    return _graph(
        f"""
        trips = Constant <value = int64 {{{trips}}}> ()
        yes = Constant <value = bool {{1}}> ()
        start = Constant <value = float[1] {{0}}> ()
        end = Loop <body = loop (int64 i, bool c, float[n] x) => (bool d, float[m] y) {{
            d = Identity (c)
            {body}
        }}> (trips, yes, start)
        big = ReduceMean <keepdims = 0> (end)
        """
    )


def _tokenizer(normalizer: dict[str, Any]) -> Callable[[Path], object]:
    content = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: index for index, word in enumerate(WORDS)},
        },
    }
    return lambda folder: (folder / "tokenizer.json").write_text(json.dumps(content))


DOUBLED = {"type": "Replace", "pattern": {"String": "o"}, "content": "oo"}
HOSTILE: dict[str, dict[str, Any]] = {
    "a loop without end": {"model": _loop(10**12, "y = Identity (x)")},
    "a loop that doubles": {"model": _loop(60, "y = Concat <axis = 0> (x, x)")},
    "a tensor of a terabyte": {
        "model": _graph(
            """
            shape = Constant <value = int64[1] {274877906944}> ()
            large = ConstantOfShape (shape)
            big = ReduceMean <keepdims = 0> (large)
            """
        )
    },
    "a file that grows when it is read": {"model": b"\x3a\x80\x80\x80\x08" + b"\x0a\x00" * (1 << 23)},
    "text that doubles": {"change": _tokenizer({"type": "Sequence", "normalizers": [DOUBLED] * 60})},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_takes_too_much_ends_in_one_line(name: str) -> None:
    """A model or tokenizer that would take all memory or all time ends with exit code 2, and its name."""
    save_tiny(Path("bad"), **HOSTILE[name])
    result = run(f"evaluate bad --data texts.jsonl {SMALL}")
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: bad"), result.stderr
    assert list(Path().glob(".quantkit-*")) == []


def test_what_is_whole_is_scored_the_same_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process finds what this one finds, which opens nothing; what was found before needs no process."""
    good = save_tiny(Path("good"))
    settings = EvaluateSettings(data="texts.jsonl")
    here = evaluate(good, settings=settings, cached=False)
    for opens in ("onnx.load", "onnxruntime.InferenceSession", "quantkit.tasks.tokenizer.Tokenizer.load"):
        monkeypatch.setattr(opens, None)
    with Confined(Limits(), (good,)) as process:
        there = evaluate(good, settings=settings, elsewhere=process.evaluate)
        assert (there.scores, there.key, there.f1) == (here.scores, here.key, here.f1)
        assert process.inspect(good).kernels["MatMul"] == 1
        assert process.lineage(good, good).layers
    monkeypatch.setattr(Confinement, "_start", None)
    result = run("evaluate good --data texts.jsonl --untrusted --json")
    assert json.loads(result.stdout)["predictions_sha256"] == here.predictions_sha256


def test_a_mistake_is_told_in_the_same_words() -> None:
    """What is refused says the same, whoever runs it."""
    save_tiny(Path("bad"), model=_graph("big = Nowhere ()"))
    said = [run(f"evaluate bad --data texts.jsonl {trust}") for trust in ("--trusted", "--untrusted")]
    assert (said[0].exit_code, said[0].stderr) == (said[1].exit_code, said[1].stderr)
    assert said[0].exit_code == 2


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nothing": lambda content: None,
    "another artifact": lambda content: _with(content, artifact="9" * 64),
    "another F1": lambda content: _with(content, f1=99.0),
    "a score of 50": lambda content: content | {"scores": [{**one, "f1": 50} for one in content["scores"]]},
    "one answer less": lambda content: content | {"scores": content["scores"][:1]},
}


def _with(content: dict[str, Any], **values: Any) -> dict[str, Any]:
    return content | {"evaluation": content["evaluation"] | values}


def test_what_the_process_says_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is not an evaluation of this artifact, or contradicts itself, is none; nothing is kept of it."""
    good = save_tiny(Path("good"))
    settings = EvaluateSettings(data="texts.jsonl")
    whole = answer(good, settings=settings, data_dir=None)
    assert evaluate(good, settings=settings, cached=False, elsewhere=lambda *_: whole).f1 == 100
    for forged in FORGED.values():
        content = forged(whole)
        with pytest.raises(EvaluationError, match="good: the process that ran it gave no evaluation of it"):
            evaluate(good, settings=settings, elsewhere=lambda *_, content=content: content)


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("--untrusted --engine processes", "--engine processes: has processes of its own"),
        ("--trusted --time-limit 5", "--time-limit: is for --untrusted"),
        ("--memory-limit 2", "--memory-limit: is for --untrusted"),
    ],
)
def test_limits_that_would_not_hold(command: str, line: str) -> None:
    """A limit that nothing is held to is refused."""
    save_tiny(Path("good"))
    result = run(f"evaluate good --data texts.jsonl {command}")
    assert (result.exit_code, result.stderr.startswith(f"error: {line}")) == (2, True), result.stderr
