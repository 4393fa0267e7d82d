"""Files made to do harm, through the real commands: one line and exit code 2, whatever is in them."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from click.testing import CliRunner
from onnx import TensorProto, numpy_helper
from tiny_models import QUESTIONS, TEXTS, WORDS, save_tiny, tiny_graph

from quantkit.artifact import StageRecord
from quantkit.cli.main import main
from quantkit.files import digest_of
from quantkit.printable import one_line

HALF = r"\ud800"
DEEP = "[" * 100_000
BAD_JSON = {
    "cut": '{"a": ',
    "deep": DEEP,
    "deep objects": '{"a":' * 5000 + "1" + "}" * 5000,
    "a number of 5,000 digits": '{"vocab_size": ' + "9" * 5000 + "}",
    "NaN": '{"vocab_size": NaN}',
    "Infinity": '{"vocab_size": Infinity}',
    "1e999": '{"vocab_size": 1e999}',
    "half a pair": f'{{"model_type": "{HALF}"}}',
    "half a pair as a key": f'{{"{HALF}": 1}}',
    "a key twice": '{"vocab_size": 13, "vocab_size": 12}',
    "a list": "[]",
    "a number": "3",
    "null": "null",
    "nothing": "",
    "no text": b"\xff\xfe\x00",
    "a null byte": '{"a": "\x00"}',
}
# The gate's evidence: of the candidate under the name of the dataset (what `publish` reads), and of the baseline.
OWN = ("evaluation.json", "predictions.json")
BASELINE = (
    "baseline-manifest.json",
    "baseline-evaluation.json",
    "baseline-predictions.json",
    "baseline-inspection.json",
)
ARTIFACT_COMMANDS = {
    "inspect": "inspect bad",
    "evaluate": "evaluate bad --data {data}",
    "quantize": "quantize bad -o out --mode dynamic",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Return a function that runs a command in a folder of its own, where it must print one line and end with 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("texts.jsonl").write_text(TEXTS)
    Path("questions.json").write_text(QUESTIONS)

    def invoke(command: str) -> str:
        result = CliRunner().invoke(main, command.split())
        if result.exit_code == 1:
            pytest.fail(result.stderr)
        assert (result.exit_code, result.stdout) == (2, "")
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert len(result.stderr) < 2000
        assert one_line(result.stderr) == result.stderr.strip()
        return result.stderr

    return invoke


def _write(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return lambda folder: (folder / name).write_bytes(data)


# --- JSON of an artifact and around it --------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD_JSON)
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_json_of_an_artifact(run: Callable[[str], str], file: str, name: str) -> None:
    """JSON that is none, or none that programs agree about, ends an evaluation with the file's name."""
    save_tiny(Path("bad"), change=_write(file, BAD_JSON[name]))
    assert f"bad/{file}" in run("evaluate bad --data texts.jsonl")


@pytest.mark.parametrize("name", BAD_JSON)
def test_manifests(run: Callable[[str], str], name: str) -> None:
    """The same in a manifest."""
    save_tiny(Path("bad"))
    _write("manifest.json", BAD_JSON[name])(Path("bad"))
    assert "bad/manifest.json" in run("inspect bad")


@pytest.mark.parametrize("name", BAD_JSON)
@pytest.mark.parametrize("kind", ["squad", "text-classification"])
def test_datasets(run: Callable[[str], str], kind: str, name: str) -> None:
    """The same in a dataset."""
    save_tiny(Path("good"), task=kind)
    _write("data.json", BAD_JSON[name])(Path())
    assert "data.json" in run("evaluate good --data data.json")


@pytest.mark.parametrize("name", BAD_JSON)
@pytest.mark.parametrize("file", ["gate.json", "lineage.json", *OWN, *BASELINE])
def test_evidence(
    run: Callable[[str], str], make_artifact: Any, pass_gate: Any, file: str, name: str
) -> None:
    """The same in what an artifact shows to be published: the gate's own files of its dataset, and the baseline's."""
    report = pass_gate(make_artifact(Path("bad")))
    if file in OWN:
        file = f"{file.removesuffix('.json')}-{report.dataset_name}.json"
    assert (Path("bad") / "reports" / file).is_file()
    _write(f"reports/{file}", BAD_JSON[name])(Path("bad"))
    result = CliRunner().invoke(main, ["publish", "bad", "--name", "n", "--version", "1", "--registry", "r"])
    assert result.exit_code in (2, 3), result.stderr
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert f"bad/reports/{file}" in result.stderr


# --- values of a wrong kind -------------------------------------------------------------------------------------

CONFIGS: dict[str, dict[str, Any]] = {
    "vocab_size is text": {"vocab_size": "x"},
    "vocab_size is a list": {"vocab_size": [13]},
    "vocab_size is negative": {"vocab_size": -1},
    "vocab_size is huge": {"vocab_size": 10**60},
    "vocab_size is true": {"vocab_size": True},
    "type_vocab_size is text": {"type_vocab_size": "x"},
    "type_vocab_size is a list": {"type_vocab_size": []},
    "type_vocab_size is nothing": {"type_vocab_size": None},
    "max_position_embeddings is 0": {"max_position_embeddings": 0},
    "max_position_embeddings is negative": {"max_position_embeddings": -5},
    "id2label is a list": {"id2label": ["good", "bad"]},
    "id2label is a number": {"id2label": 5},
    "id2label begins at 1": {"id2label": {"1": "good", "2": "bad"}},
    "id2label is text": {"id2label": "good"},
    "problem_type is a list": {"problem_type": ["regression"]},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_values_of_config(run: Callable[[str], str], name: str) -> None:
    """A value of the wrong kind in config.json is named."""
    save_tiny(Path("bad"), config=CONFIGS[name])
    line = run("evaluate bad --data texts.jsonl")
    assert name.split(maxsplit=1)[0] in line or "max_length" in line or "tokens but the model" in line


CHECKPOINT_CONFIGS: dict[str, dict[str, Any]] = {
    "a billion layers": {"num_hidden_layers": 10**9},
    "layers as a float": {"num_hidden_layers": 1e9},
    "layers as text": {"num_hidden_layers": "12"},
    "a width of 10^60": {"hidden_size": 10**60},
    "heads that do not divide": {"num_attention_heads": 7},
    "no heads": {"num_attention_heads": 0},
    "a vocabulary of text": {"vocab_size": "x"},
    "a vocabulary of 10^18": {"vocab_size": 10**18},
    "architectures as text": {"architectures": "BertForQuestionAnswering" * 2},
    "architectures of numbers": {"architectures": [5]},
    "a type that is a list": {"model_type": ["bert"]},
    "a type that is a path": {"model_type": "../bert"},
    "positions that are text": {"max_position_embeddings": "x"},
    "a huge position table": {"max_position_embeddings": 10**12},
    "an activation that is a number": {"hidden_act": 5},
    "an unknown activation": {"hidden_act": "os.system"},
    "quantized": {"quantization_config": {"a": 1}},
    "token types of text": {"type_vocab_size": "x"},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a tiny checkpoint."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoint")
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=384,
    )
    transformers.BertForQuestionAnswering(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def export(run: Callable[[str], str], checkpoint: dict[str, bytes]) -> Callable[..., str]:
    """Return a function that exports the checkpoint with some files changed, which must fail in one line."""

    def export(**changed: bytes | None) -> str:
        Path("ck").mkdir()
        files = {**checkpoint, **{name.replace("__", "."): content for name, content in changed.items()}}
        for name, content in files.items():
            if content is not None:
                (Path("ck") / name).write_bytes(content)
        return run("export ck -o out")

    return export


@pytest.mark.parametrize("name", CHECKPOINT_CONFIGS)
def test_values_of_a_checkpoint(export: Callable[..., str], checkpoint: dict[str, bytes], name: str) -> None:
    """A config.json that no checkpoint can have is refused before anything is built from it."""
    config = json.loads(checkpoint["config.json"]) | CHECKPOINT_CONFIGS[name]
    assert "ck" in export(config__json=json.dumps(config).encode())


# --- safetensors ------------------------------------------------------------------------------------------------


def _tensors(header: str | bytes, data: bytes = b"\0" * 8, *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(**values: Any) -> str:
    return json.dumps({"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **values})


SAFETENSORS = {
    "nothing": b"",
    "a length of 2^63": _tensors("{}", length=2**63),
    "a length behind the end": _tensors("{}", length=50),
    "an empty header": _tensors("{}"),
    "a list": _tensors("[]"),
    "deep": _tensors(DEEP),
    "Infinity in a shape": _tensors('{"a": {"dtype": "F32", "shape": [Infinity], "data_offsets": [0, 8]}}'),
    "Infinity by 1e999": _tensors('{"a": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 8]}}'),
    "a name of half a pair": _tensors(f'{{"{HALF}": {_entry()}}}'),
    "a name twice": _tensors(f'{{"a": {_entry()}, "a": {_entry()}}}'),
    "overlapping tensors": _tensors(f'{{"a": {_entry()}, "b": {_entry()}}}'),
    "a gap": _tensors(f'{{"a": {_entry()}, "b": {_entry(data_offsets=[16, 24])}}}', b"\0" * 24),
    "a huge shape": _tensors(f'{{"a": {_entry(shape=[2**40, 2**40], data_offsets=[0, 2**82])}}}'),
    "a shape of 10^60": _tensors(f'{{"a": {_entry(shape=[10**60])}}}'),
    "a million dimensions": _tensors(f'{{"a": {_entry(shape=[1] * 100_000)}}}'),
    "a shape of text": _tensors(f'{{"a": {_entry(shape="22")}}}'),
    "a shape of floats": _tensors(f'{{"a": {_entry(shape=[2.0])}}}'),
    "a shape of nothing": _tensors(f'{{"a": {_entry(shape=None)}}}'),
    "negative offsets": _tensors(f'{{"a": {_entry(data_offsets=[-8, 0])}}}'),
    "three offsets": _tensors(f'{{"a": {_entry(data_offsets=[0, 4, 8])}}}'),
    "an unknown type": _tensors(f'{{"a": {_entry(dtype="F99")}}}'),
    "a type that is a list": _tensors(f'{{"a": {_entry(dtype=["F32"])}}}'),
    "an entry that is a number": _tensors('{"a": 5}'),
    "metadata alone": _tensors('{"__metadata__": {"format": "pt"}}'),
    "bytes that are no UTF-8": _tensors(b'{"\xff": 1}'),
    "a number of 5,000 digits": _tensors('{"a": ' + "9" * 5000 + "}"),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors(export: Callable[..., str], name: str) -> None:
    """A header that describes no tensors is refused by name, before torch sees it."""
    assert "ck" in export(model__safetensors=SAFETENSORS[name])


# --- tokenizers -------------------------------------------------------------------------------------------------


def _tokenizer(**changed: Any) -> bytes:
    content = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
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
    return json.dumps({**content, **changed}).encode()


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


TOKENIZERS = {
    "a pattern that cannot be read": _tokenizer(pre_tokenizer=_split("(")),
    "a pattern that takes for ever": _tokenizer(pre_tokenizer=_split("(a+)+$")),
    "a normalizer that takes for ever": _tokenizer(
        normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
    ),
    "special tokens without ids": _tokenizer(
        post_processor={
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "X", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": "X", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}},
            ],
            "special_tokens": {},
        }
    ),
    "special tokens beyond the model": _tokenizer(
        post_processor={"type": "BertProcessing", "sep": ["[SEP]", 4_000_000_000], "cls": ["[CLS]", 2]}
    ),
    "a model without unknown token": _tokenizer(
        model={"type": "WordLevel", "vocab": {"good": 12}, "unk_token": "x"}
    ),
    "a model without words": _tokenizer(model={"type": "Unigram", "unk_id": None, "vocab": []}),
    "a model of no kind": _tokenizer(model={"type": "os.system"}),
    "a model that is a list": _tokenizer(model=[]),
    "negative ids": _tokenizer(model={"type": "WordLevel", "vocab": {"good": -1}, "unk_token": "good"}),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokenizers(run: Callable[[str], str], name: str) -> None:
    """A tokenizer that cannot be read, or panics, is one line about the tokenizer or the model it does not fit."""
    save_tiny(Path("bad"), change=_write("tokenizer.json", TOKENIZERS[name]))
    Path("long.jsonl").write_text(json.dumps({"id": "1", "text": "a" * 60 + "!", "label": "good"}) + "\n")
    assert "bad" in run("evaluate bad --data long.jsonl")


WORDPIECE_SETTINGS: dict[str, Any] = {
    "accents": {"strip_accents": "x"},
    "an unknown token that is none": {"unk_token": "nowhere"},
    "an unknown token of half a pair": {
        "unk_token": {"content": 5},
        "cls_token": "nowhere",
        "strip_accents": [1],
    },
}


@pytest.mark.parametrize("name", WORDPIECE_SETTINGS)
def test_tokenizer_settings(run: Callable[[str], str], name: str) -> None:
    """Settings of the wrong kind beside a vocabulary are one line."""
    settings = json.dumps(WORDPIECE_SETTINGS[name])
    save_tiny(Path("bad"), change=_write("tokenizer_config.json", settings))
    assert "bad" in run("evaluate bad --data texts.jsonl")


# --- ONNX -------------------------------------------------------------------------------------------------------


def _changed(change: Callable[[onnx.GraphProto], object], task: str = "text-classification") -> bytes:
    model = tiny_graph(task)
    change(model.graph)
    content: bytes = model.SerializeToString()
    return content


def _weight(graph: onnx.GraphProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in graph.initializer if tensor.name == name)


def _set_dims(*dims: int) -> Callable[[onnx.GraphProto], object]:
    return lambda graph: _weight(graph, "weight").dims.__setitem__(slice(None), dims)


def _cycle(graph: onnx.GraphProto) -> None:
    graph.node[1].input[0] = "logits"


def _self_reading(graph: onnx.GraphProto) -> None:
    graph.node[1].input[0] = graph.node[1].output[0]


def _unknown_operator(graph: onnx.GraphProto) -> None:
    graph.node[1].op_type = "\x1b[2J::error::"


def _unknown_domain(graph: onnx.GraphProto) -> None:
    graph.node[1].domain = "evil"


def _fails_when_run(graph: onnx.GraphProto) -> None:
    _weight(graph, "table").CopyFrom(numpy_helper.from_array(np.ones((2, 2), np.float32), "table"))


def _reshape(graph: onnx.GraphProto, sizes: list[int]) -> None:
    graph.initializer.append(numpy_helper.from_array(np.array(sizes, np.int64), "sizes"))
    node = onnx.helper.make_node("Reshape", ["embedded", "sizes"], ["reshaped"], name="reshape")
    graph.node.insert(1, node)
    graph.node[2].input[0] = "reshaped"


def _expand(graph: onnx.GraphProto) -> None:
    graph.initializer.append(numpy_helper.from_array(np.array([2**31, 2**31, 2], np.int64), "sizes"))
    graph.node.insert(1, onnx.helper.make_node("Expand", ["embedded", "sizes"], ["large"], name="expand"))
    graph.node[2].input[0] = "large"


def _no_graph(graph: onnx.GraphProto) -> None:
    del graph.node[:]


def _no_outputs(graph: onnx.GraphProto) -> None:
    del graph.output[:]


def _no_inputs(graph: onnx.GraphProto) -> None:
    del graph.input[:]


def _one_name_twice(graph: onnx.GraphProto) -> None:
    graph.node[2].output[0] = graph.node[1].output[0]


def _wrong_input_kind(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def _unknown_kind(graph: onnx.GraphProto) -> None:
    _weight(graph, "weight").data_type = 99


def _no_kind(graph: onnx.GraphProto) -> None:
    _weight(graph, "weight").data_type = 0


def _short_data(graph: onnx.GraphProto) -> None:
    _weight(graph, "weight").raw_data = b"\0"


def _text_weight(graph: onnx.GraphProto) -> None:
    weight = _weight(graph, "weight")
    weight.ClearField("raw_data")
    weight.data_type = TensorProto.STRING
    weight.string_data.extend([b"\xff"] * 4)


def _external(graph: onnx.GraphProto, **entries: str) -> None:
    weight = _weight(graph, "weight")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        weight.external_data.add(key=key, value=value)


def _sparse(graph: onnx.GraphProto) -> None:
    sparse = graph.sparse_initializer.add()
    sparse.dims.extend([2**40, 2**40])
    sparse.values.name = "sparse"


ONNX = {
    "no model": b"not onnx",
    "nothing": b"",
    "cut": _changed(lambda graph: None)[:-20],
    "a group that never ends": b"\x3b" * 10_000,
    "a length of 2^60": b"\x3a" + b"\xff" * 8 + b"\x0f",
    "deep subgraphs": b"\x3a\x80\x80\x04" + b"\x0a\xff\x7f" * 5000,
    "no nodes": _changed(_no_graph),
    "no outputs": _changed(_no_outputs),
    "no inputs": _changed(_no_inputs),
    "a cycle": _changed(_cycle),
    "a node that reads itself": _changed(_self_reading),
    "an unknown operator": _changed(_unknown_operator),
    "an unknown domain": _changed(_unknown_domain),
    "one name for two values": _changed(_one_name_twice),
    "inputs of text": _changed(_wrong_input_kind),
    "fails when it is run": _changed(_fails_when_run),
    "a shape that does not fit": _changed(lambda graph: _reshape(graph, [3, 1, 7])),
    "a negative size": _changed(lambda graph: _reshape(graph, [-5, 2])),
    "a tensor of 2^64 bytes": _changed(_expand),
    "giant dimensions": _changed(_set_dims(2**62, 2**62)),
    "dimensions that overflow": _changed(_set_dims(2**32, 2**32)),
    "negative dimensions": _changed(_set_dims(-2, -2)),
    "other dimensions": _changed(_set_dims(3, 3)),
    "no dimensions": _changed(_set_dims()),
    "a weight of an unknown kind": _changed(_unknown_kind),
    "a weight of no kind": _changed(_no_kind),
    "a weight cut short": _changed(_short_data),
    "a weight of text": _changed(_text_weight),
    "external data elsewhere": _changed(lambda graph: _external(graph, location="../../etc/passwd")),
    "external data of a device": _changed(lambda graph: _external(graph, location="/dev/zero", length="16")),
    "external data of the vocabulary": _changed(
        lambda graph: _external(graph, location="vocab.txt", offset="99999999999999999999", length="16")
    ),
    "external data at no number": _changed(lambda graph: _external(graph, location="vocab.txt", offset="x")),
    "external data before the file": _changed(
        lambda graph: _external(graph, location="vocab.txt", offset="-16", length="16")
    ),
    "external data of a huge digit": _changed(
        lambda graph: _external(graph, location="vocab.txt", offset="9" * 5000, length="16")
    ),
    "external data without a place": _changed(lambda graph: _external(graph, length="16")),
    "a sparse weight of 2^80": _changed(_sparse),
}


@pytest.mark.parametrize("command", ARTIFACT_COMMANDS)
@pytest.mark.parametrize("name", ONNX)
def test_onnx(run: Callable[[str], str], name: str, command: str) -> None:
    """A graph that cannot be read, opened or run is one line, whichever command meets it first."""
    save_tiny(Path("bad"), model=ONNX[name])
    assert "bad" in run(ARTIFACT_COMMANDS[command].format(data="texts.jsonl"))


# --- facts of a manifest ----------------------------------------------------------------------------------------

EXPECTED: dict[str, Any] = {
    "text": "x",
    "a number": 5,
    "a list": [1],
    "nothing": None,
    "counts of text": {"Attention": "x"},
    "counts of nothing": {"Attention": None},
    "fractions": {"Attention": 1.5},
    "a huge number": {"Attention": 10**60},
}


@pytest.mark.parametrize("command", ["inspect bad", "quantize bad -o out --mode dynamic"])
@pytest.mark.parametrize("name", EXPECTED)
def test_expected_fusions(run: Callable[[str], str], name: str, command: str) -> None:
    """What a manifest says was fused is a count for each operator, or the manifest is refused."""
    save_tiny(Path("bad"), stages=(StageRecord(stage="fuse"),))
    path = Path("bad/manifest.json")
    content = json.loads(path.read_text())
    content["stages"][0]["facts"] = {"expected": EXPECTED[name]}
    del content["seal"]
    content["seal"] = digest_of(content)
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    assert "expected" in run(command)


# --- YAML and the command line ----------------------------------------------------------------------------------

YAML = {
    "a bool that is none": "name: !!bool abc\n",
    "an alias bomb": "a0: &a0 [1]\n"
    + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]\n" for n in range(1, 20)),
    "a cycle": "name: &a [*a]\n",
    "20 MB": "name: " + "x" * 20_000_000,
    "deep": "[" * 50_000,
    "Python": "name: !!python/object/apply:os.system [id]\n",
    "half a pair": 'name: "\\ud800"\ncheckpoint: ck\nquantize: {mode: dynamic}\n',
    "a number of 5,000 digits": f"name: x\ncheckpoint: ck\nquantize: {{calib_samples: {'9' * 5000}}}\n",
    "an escape in a key": '"\\e[2J": 1\n',
    "an order in a key": '"::error::x": 1\n',
    "bytes": b"name: \xff\n",
    "null bytes": "name: \x00\n",
}


@pytest.mark.parametrize("name", YAML)
def test_recipes(run: Callable[[str], str], name: str) -> None:
    """A recipe that is none is one line."""
    _write("bad.yaml", YAML[name])(Path())
    assert "bad.yaml" in run("run bad.yaml --work w")


@pytest.mark.parametrize("file", ["bad/config.json", "bad/manifest.json", "bad/vocab.txt", "bad/model.onnx"])
def test_pipes(run: Callable[[str], str], file: str) -> None:
    """A pipe in place of a file is refused, not waited for."""
    save_tiny(Path("bad"))
    Path(file).unlink()
    os.mkfifo(file)
    assert "bad" in run("evaluate bad --data texts.jsonl")


def test_every_table_is_large_enough() -> None:
    """There are some hundred hostile files, and a table that lost its rows would be missed."""
    commands = len(ONNX) * len(ARTIFACT_COMMANDS)
    json_files = len(BAD_JSON) * 9
    others = sum(map(len, (CONFIGS, CHECKPOINT_CONFIGS, SAFETENSORS, TOKENIZERS, EXPECTED, YAML)))
    assert commands + json_files + others > 300
