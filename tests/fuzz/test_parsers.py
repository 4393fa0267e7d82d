"""Whatever bytes a parser is given, it returns a value or raises a QuantkitError, in a time that its size bounds.

A few examples of each with every `make test`; `make fuzz` goes on for FUZZ_SECONDS, shared by the targets. The examples
are those of FUZZ_SEED, always in the same order: what passed once passes again, and another seed tries others.
"""

import contextlib
import itertools
import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tiny_models import CONFIG, LABELS, QUESTIONS, TEXTS, WORDS, save_tiny, tiny_graph

from quantkit.architectures import architecture
from quantkit.architectures.architecture import Config
from quantkit.artifact import Artifact
from quantkit.artifact.manifest import Manifest
from quantkit.checkpoint.files import find_weights
from quantkit.checkpoint.files import read_json as read_checkpoint_json
from quantkit.checkpoint.safetensors import read_header, require_finite
from quantkit.errors import QuantkitError
from quantkit.files import digest_of
from quantkit.graph.model import load_model
from quantkit.mlperf.accuracy import read_answers
from quantkit.mlperf.detail_log import DetailLog
from quantkit.mlperf.system_description import read_description
from quantkit.recipe import load_recipe
from quantkit.records import (
    BenchReport,
    Comparison,
    Evaluation,
    GateReport,
    Inspection,
    SearchReport,
    Sensitivity,
)
from quantkit.records.tune import TuneReport
from quantkit.runtime.session import Session
from quantkit.tasks import task
from quantkit.tasks.tokenizer import Tokenizer

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
_TURNS = 1_000_000  # of one seed, before those of the next
_AT_MOST = 60.0  # seconds for one example of some kilobytes, on a machine that is busy with others
_REPORTS = (
    BenchReport,
    Comparison,
    Evaluation,
    GateReport,
    Inspection,
    SearchReport,
    Sensitivity,
    TuneReport,
)


def _save(name: str, read: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    def parse(folder: Path, content: bytes) -> object:
        (folder / name).write_bytes(content)
        return read(folder)

    return parse


def _graph(folder: Path) -> None:
    load_model(folder / "model.onnx")
    Session(folder / "model.onnx", outputs=("logits",))


def _manifest(folder: Path) -> None:
    with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
        # Sealed anew, as by somebody who wants the change to go unnoticed.
        content = json.loads((folder / "manifest.json").read_bytes())
        content.pop("seal", None)
        content["seal"] = digest_of(content)
        (folder / "manifest.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    Manifest.read(folder)


def _config(folder: Path) -> None:
    values = read_checkpoint_json(folder / "config.json")
    family = architecture(values, "config.json")
    family.read_shape(Config(values=values, where="config.json"))


def _tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    tokenizer.encode(["good bad", "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "🤷 ü"])


def _safetensors(folder: Path) -> None:
    require_finite(read_header(folder / "model.safetensors"))


def _header(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content + b"\0" * 8


TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                       "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a|b)+"}, "behavior": "Isolated", "invert": False},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": {word: index for index, word in enumerate(WORDS)}},
    }
).encode()  # fmt: skip
TENSORS = b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
RECIPE = (
    b"name: x\ncheckpoint: ck\nquantize: {mode: dynamic, schemes: [{pattern: q, scheme: static}]}\ngate: {}\n"
)
LOG = b':::MLLOG {"key": "result_validity", "value": "VALID", "metadata": {"is_error": false}}\n'
# target: bytes that it takes, which are changed; and what is done with them.
TARGETS: dict[str, tuple[bytes, Callable[[Path, bytes], object]]] = {
    "manifest": (b"{}", _save("manifest.json", _manifest)),
    "config of a checkpoint": (
        json.dumps(
            {**CONFIG, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
        ).encode(),
        _save("config.json", _config),
    ),
    "index of weights": (
        b'{"weight_map": {"a": "model-1.safetensors"}}',
        _save("model.safetensors.index.json", find_weights),
    ),
    "config of a tokenizer": (json.dumps({**CONFIG, **LABELS}).encode(), _save("config.json", _tokenizer)),
    "settings of a tokenizer": (
        b'{"do_lower_case": true, "strip_accents": null, "cls_token": {"content": "[CLS]"}, "unk_token": "[UNK]"}',
        _save("tokenizer_config.json", _tokenizer),
    ),
    "tokenizer": (TOKENIZER, _save("tokenizer.json", _tokenizer)),
    "vocabulary": ("\n".join(WORDS).encode(), _save("vocab.txt", _tokenizer)),
    "squad": (QUESTIONS.encode(), _save("d.json", lambda folder: task("squad").read(folder / "d.json", "d"))),
    "texts": (
        TEXTS.encode(),
        _save("d.jsonl", lambda folder: task("text-classification").read(folder / "d.jsonl", "d")),
    ),
    "safetensors": (
        TENSORS,
        lambda folder, content: _save("model.safetensors", _safetensors)(folder, _header(content)),
    ),
    "safetensors, all of it": (_header(TENSORS), _save("model.safetensors", _safetensors)),
    "graph": (tiny_graph("text-classification").SerializeToString(), _save("model.onnx", _graph)),
    "recipe": (RECIPE, _save("r.yaml", lambda folder: load_recipe(folder / "r.yaml"))),
    "log of LoadGen": (LOG, _save("log", lambda folder: DetailLog.read(folder / "log"))),
    "answers of LoadGen": (
        b'[{"seq_id": 0, "qsl_idx": 0, "data": "0000803F00008040"}]',
        lambda _, content: read_answers(content, [1], name="answers"),
    ),
    "system": (b'{"cooling": "air", "cores": 4}', _save("s.json", lambda f: read_description(f / "s.json"))),
    **{
        report.__name__: (
            json.dumps({"schema": report.model_fields["format"].default, "results": [{"profile": {}}]}).encode(),
            _save("report.json", lambda folder, report=report: report.read(folder / "report.json")),
        )
        for report in _REPORTS
    },
    "BenchReport of old": (
        b'{"schema": "quantkit/bench/1", "samples": 3, "results": [{"runs": {}}, 5]}',
        _save("report.json", lambda folder: BenchReport.read(folder / "report.json")),
    ),
    "SearchReport of old": (
        b'{"schema": "quantkit/search/1", "candidates": [{"choices": {}}], "groups": [5]}',
        _save("report.json", lambda folder: SearchReport.read(folder / "report.json")),
    ),
    "Sensitivity of old": (
        b'{"schema": "quantkit/sensitivity/1", "groups": [{"layers": []}, null]}',
        _save("report.json", lambda folder: Sensitivity.read(folder / "report.json")),
    ),
}  # fmt: skip
# What is put into them: pieces on which parsers are known to differ, or to fail.
PIECES = [
    b"", b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"NaN", b"1e999", b"-1", b"0", b"9" * 80, b"1.5", b"true",
    b"[[[[[[[[", b'{"a":', rb'"\ud800"', b"\x00", b"\xff", b"\xed\xa0\x80", b"\x1b[2J", b"::error::", b"../", b"'",
    b"!!bool ", b"&a ", b"*a", b"\n", b"- ", b"? ", b"(a+)+$", b"\xff\xff\xff\xff\x0f", b"\x80" * 9, b'"x"',
    b"[]", b"{}",
]  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """Return bytes with some places replaced, cut out, doubled or filled with something else."""
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(content)))
        end = min(len(content), begin + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=6) | st.just(content[begin:end] * 2))
        content = content[:begin] + piece + content[end:]
    return content


def _values(value: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON of the same form in which one value is of another kind."""
    other: st.SearchStrategy[Any] = st.sampled_from(
        [None, True, 0, -1, 1.5, 10**60, "", "x", "\x1b[2J", [], {}, [[]], {"a": None}, ["x"] * 3, "9" * 40]
    )
    if isinstance(value, dict) and value:
        inside = st.sampled_from(sorted(value)).flatmap(
            lambda key: _values(value[key]).map(lambda found: {**value, key: found})
        )
        gone = st.sampled_from(sorted(value)).map(lambda key: {k: v for k, v in value.items() if k != key})
        return inside | other | gone
    if isinstance(value, list) and value:
        return _values(value[0]).map(lambda found: [found, *value[1:]]) | other
    return other


def _examples(content: bytes) -> st.SearchStrategy[bytes]:
    found = changed(content)
    with contextlib.suppress(ValueError):
        value = json.loads(content)
        found |= _values(value).map(lambda other: json.dumps(other).encode())
    return found


@pytest.mark.fuzz
@pytest.mark.parametrize("name", TARGETS)
def test_a_value_or_an_error_of_ours(name: str, tmp_path: Path) -> None:
    """Nothing but a value or a QuantkitError comes out, and soon."""
    artifact = save_tiny(tmp_path / "a")
    content, parse = TARGETS[name]
    if name == "manifest":
        content = (artifact.path / "manifest.json").read_bytes()
    until = time.monotonic() + SECONDS / len(TARGETS)
    kept = {path: path.read_bytes() for path in artifact.path.iterdir() if path.is_file()}

    def check(example: bytes) -> None:
        started = time.monotonic()
        for path, before in kept.items():
            path.write_bytes(before)
        with contextlib.suppress(QuantkitError):
            parse(artifact.path, example)
        assert time.monotonic() - started < _AT_MOST

    few = settings(
        max_examples=50 if SECONDS else 25,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    for turn in itertools.count():
        few(seed(SEED * _TURNS + turn)(given(_examples(content))(check)))()
        if time.monotonic() >= until:
            break


def test_targets_take_what_is_not_changed(tmp_path: Path) -> None:
    """What the examples are made from is taken by its target, where it is whole: so changes get far."""
    artifact = save_tiny(tmp_path / "a")
    reports = {report.__name__ for report in _REPORTS}
    for name, (content, parse) in TARGETS.items():
        if name in reports or name.endswith("of old") or name in ("manifest", "index of weights"):
            continue
        parse(artifact.path, content)
    assert Artifact.open(save_tiny(tmp_path / "b").path).task == "text-classification"
