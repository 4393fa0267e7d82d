"""What nobody trusts is run by a process with limits: it ends in one line, and leaves this process as it was."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner
from tiny_models import TEXTS, WORDS, save_tiny, tiny_graph

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.errors import EvaluationError, UsageError
from quantkit.pipeline.confined import Confined
from quantkit.recipe.settings import EvaluateSettings
from quantkit.runtime.confinement import GIB, Limits
from quantkit.stages.evaluate import evaluate

SMALL = "--untrusted --time-limit 2 --memory-limit 0.5"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    Path("texts.jsonl").write_text(TEXTS)


def run(command: str) -> Any:
    return CliRunner().invoke(main, command.split())


def _graph(before: str, *, body: str = "") -> onnx.ModelProto:
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
    print(result.stderr)
    assert result.stderr.startswith("error: bad"), result.stderr
    assert list(Path().glob(".quantkit-*")) == []
