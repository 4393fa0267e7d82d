"""docs/errors.md, row by row: the real command on bad input prints the line that stands there, and nothing else."""

import gzip
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.test_hostile_files import DEEP, ONNX, SAFETENSORS, TOKENIZERS, YAML
from click.testing import CliRunner
from pipeline.test_confined import HOSTILE
from tiny_models import TEXTS, save_tiny, tiny_graph

from quantkit.artifact import StageRecord
from quantkit.cli.main import main
from quantkit.files import digest_of

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (?P<what>[^|]+) \| `(?P<command>[^|]+)` \| `(?P<line>.+)` \| (?P<code>\d) \|$", re.M)
ROWS = [match.groups() for match in _ROW.finditer(DOCUMENT)]
RECIPE = "name: tiny\ncheckpoint: ck\nquantize: {mode: dynamic}\n"


PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMuzWfyxWf4u8eafu+6c171e4IHsj
M73pz4U/fmnUdTnzu94keWEPQ29qcS4age3sY60hXzK3F7TUx1LWJ2Ej7A==
-----END PUBLIC KEY-----
"""


def dataset(*questions: tuple[str, str, list[str]], context: str = "Ann wrote it.") -> str:
    """Return SQuAD JSON of one paragraph with questions of (id, question, answers)."""
    asked = [
        {"id": name, "question": text, "answers": [{"text": answer} for answer in answers]}
        for name, text, answers in questions
    ]
    return json.dumps({"data": [{"title": "t", "paragraphs": [{"context": context, "qas": asked}]}]})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny checkpoint, its artifacts, a dataset, and a bad copy of each."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QUANTKIT_CACHE", str(folder / "cache"))
        _write_checkpoint(Path("ck"))
        for arguments in ("export ck -o fp32", "quantize fp32 -o int8 --mode dynamic"):
            made = CliRunner().invoke(main, arguments.split())
            assert made.exit_code == 0, made.stderr
        _write_checkpoint(Path("wide"), width=64)
        _write_checkpoint(Path("two-layers"), layers=2)
        _write_distilled(Path("distil"))
        _spoil_checkpoints()
        _write_sentence_models()
        _spoil_artifacts()
        _write_unfit_artifacts()
        _write_hostile_files()
        _write_foreign_folders()
        _write_datasets()
        Path("full").mkdir()
        Path("full/letters").write_text("dear")
        Path("key.yaml").write_text(RECIPE + "gate: {min_rato: 1}\n")
        both = "{mode: static, calib_samples: 2, calib_questions: 2}"
        Path("both.yaml").write_text(RECIPE.replace("{mode: dynamic}", both))
        Path("value.yaml").write_text(RECIPE.replace("dynamic", "dinamic"))
        for name, entry in {
            "static": "pattern: layer.0.output.dense, scheme: static",
            "qury": "pattern: qury, scheme: blockwise",
            "block": "pattern: query, scheme: blockwise, rounding: gptq",
            "wide": "pattern: query, scheme: static, outlier_channels: 17",
            "twice": "pattern: query, scheme: static, split_channels: 16, outlier_channels: 8",
            "plain": "pattern: query, scheme: static, split_channels: 16, smooth_quant: off",
            "copies": "pattern: query, scheme: static, split_channels: 33",
            "clipped": "pattern: query, scheme: static, calib_method: mse, outlier_channels: 8",
        }.items():
            Path(f"{name}.yaml").write_text(f"mode: dynamic\nschemes: [{{{entry}}}]\n")
        _write_recipes_of_students()
        Path("own.yaml").write_text(RECIPE + "evaluate: {data: d.json, metric: 'mine:score'}\n")
        Path("mine.py").write_text(
            "def raises(p, r):\n    return 1 / 0\n"
            "def loss(p, r):\n    return [float(one not in right) for one, right in zip(p, r)]\n"
        )
        Path("data.yaml").write_text(RECIPE + "evaluate: {data: nothing.json}\n")
    return folder


def _write_recipes_of_students() -> None:
    for name, lines in {
        "two": "student: ck\nsearch: {data: d.json, min_throughput: 1.5x}\n",
        "nobody": "distill: {data: [d.json]}\n",
        "dataless": "search: {min_throughput: 1.5x}\n",
        "askless": "search: {data: d.json}\n",
        "all-int8": "search: {data: d.json, min_throughput: 1.5x, min_int8_coverage: 0.5}\n",
        "gates": "student: ck\ndistill: {data: [d.json], gate_data: others.json}\nevaluate: {data: third.json}\n",
        "learns": "student: ck\ndistill: {data: [d.json]}\nevaluate: {data: strange.json}\n",
        "revision": "student: ck\nexport: {revision: main}\n",
    }.items():
        Path(f"{name}.yaml").write_text(RECIPE + lines)


def _write_checkpoint(folder: Path, *, width: int = 32, layers: int = 1) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder.mkdir()
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=384,
    )
    transformers.BertForQuestionAnswering(config).save_pretrained(folder)


def _write_distilled(folder: Path) -> None:
    import transformers

    shutil.copytree("ck", folder)
    config = transformers.DistilBertConfig(
        vocab_size=57, dim=32, n_layers=1, n_heads=4, hidden_dim=64, max_position_embeddings=384
    )
    transformers.DistilBertForQuestionAnswering(config).save_pretrained(folder)


def _copy(source: str, name: str, change: Callable[[Path], Any]) -> None:
    shutil.copytree(source, name, ignore=shutil.ignore_patterns("reports"))
    change(Path(name))


def _spoil_checkpoints() -> None:
    import safetensors.torch
    import torch

    def spoil_weight(folder: Path) -> None:
        weights = safetensors.torch.load_file(folder / "model.safetensors")
        weights["qa_outputs.bias"][0] = torch.nan
        safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    def name_other_type(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))

    def cut_weights(folder: Path) -> None:
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[:9000])

    def add_tokens(folder: Path) -> None:
        tokens = (folder / "vocab.txt").read_text()
        (folder / "vocab.txt").write_text(f"{tokens}more\nand more\n")

    def name_own_tokenizer(folder: Path) -> None:
        named = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"}
        (folder / "tokenizer_config.json").write_text(json.dumps(named))

    weights = "model.safetensors"
    _copy("ck", "no-config", lambda folder: (folder / "config.json").unlink())
    _copy("ck", "no-weights", lambda folder: (folder / weights).unlink())
    _copy("ck", "truncated", cut_weights)
    _copy("ck", "pickled", lambda folder: (folder / weights).rename(folder / "pytorch_model.bin"))
    _copy("ck", "other-tokenizer", add_tokens)
    _copy("ck", "no-tokenizer", lambda folder: (folder / "vocab.txt").unlink())
    _copy("ck", "own-tokenizer", name_own_tokenizer)
    _copy("ck", "gpt", name_other_type)
    _copy("ck", "nan", spoil_weight)
    record = json.dumps({"teacher": "0" * 64})
    _copy("ck", "orphan", lambda folder: (folder / "distill.json").write_text(record))

    def change_config(folder: Path, **more: object) -> None:
        config = json.loads((folder / "config.json").read_text())
        classifier = {"architectures": ["BertForSequenceClassification"]}
        (folder / "config.json").write_text(json.dumps({**config, **classifier, **more}))

    _copy("ck", "tags", lambda folder: change_config(folder, problem_type="multi_label_classification"))
    _copy("ck", "grades", lambda folder: change_config(folder, problem_type="regression"))
    _copy("ck", "ranks", lambda folder: change_config(folder, id2label={"0": "LABEL_0"}))
    _copy("ck", "ck-two", lambda folder: change_config(folder, id2label={"0": "a", "1": "b"}))
    _write_unlike_layers()


def _write_sentence_models() -> None:
    """Write folders of sentence-transformers: one that is well, and some that are not supported."""

    def write(folder: Path, *more: str, pooling: str = "mean_tokens", prompt: str | None = None) -> None:
        kinds = ["Transformer", "Pooling", *more]
        paths = ["" if number == 0 else f"{number}_{kind}" for number, kind in enumerate(kinds)]
        modules = [
            {"path": path, "type": f"sentence_transformers.models.{kind}"}
            for path, kind in zip(paths, kinds, strict=True)
        ]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({f"pooling_mode_{pooling}": True}))
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"default_prompt_name": prompt}))

    config = json.loads(Path("ck/config.json").read_text()) | {"architectures": ["BertModel"]}
    _copy("ck", "encoder", lambda folder: (folder / "config.json").write_text(json.dumps(config)))
    _copy("encoder", "sentences", write)
    _copy("encoder", "dense", lambda folder: write(folder, "Dense"))
    _copy("encoder", "maxed", lambda folder: write(folder, pooling="max_tokens"))
    _copy("encoder", "prompted", lambda folder: write(folder, prompt="query"))


def _write_unlike_layers() -> None:
    import safetensors.torch
    import torch

    def describe(folder: Path, **more: object) -> None:
        shape = {"attention_head_size": 8, "heads_per_layer": [4], "feed_forward_per_layer": [64]}
        kind = {"model_type": "decibert", "architectures": ["DeciBertForQuestionAnswering"]}
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **kind, **shape, **more}))

    def rename(folder: Path) -> None:
        path, other = folder / "model.safetensors", torch.zeros(32)
        weights = safetensors.torch.load_file(path)
        named = {name.replace("bert.", "decibert.", 1): weight for name, weight in weights.items()}
        for norm in ("attention.output", "output"):
            named[f"decibert.encoder.layer.1.{norm}.dense.bias"] = other.clone()
            for part in ("weight", "bias"):
                named[f"decibert.encoder.layer.1.{norm}.LayerNorm.{part}"] = other.clone()
        safetensors.torch.save_file(named, path, metadata={"format": "pt"})
        layers = {"num_hidden_layers": 2, "heads_per_layer": [0, 4], "feed_forward_per_layer": [64, 0]}
        for name in ("query", "key", "value", "output"):
            of = "attention.output.dense" if name == "output" else f"attention.self.{name}"
            for part in ("weight", "bias"):
                named[f"decibert.encoder.layer.1.{of}.{part}"] = named[
                    f"decibert.encoder.layer.0.{of}.{part}"
                ].clone()
        safetensors.torch.save_file(named, path, metadata={"format": "pt"})
        describe(folder, **layers)

    for name, change in {
        "uneven": {"num_hidden_layers": 2, "feed_forward_per_layer": [64, 64]},
        "negative": {"heads_per_layer": [-1]},
        "half": {"feed_forward_per_layer": [0.5]},
        "single": {"feed_forward_per_layer": 64},
        "deaf": {"heads_per_layer": [0]},
        "wordy": {"embedding_size": 64},
        "shifted": {"position_offset": 3},
    }.items():
        _copy("ck", name, lambda folder, change=change: describe(folder, **change))
    _copy("ck", "leftover", rename)


def _spoil_artifacts() -> None:
    import numpy as np
    import onnx
    from onnx import numpy_helper

    def flip(folder: Path, name: str) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    def link(folder: Path) -> None:
        (folder / "model.onnx").rename("elsewhere.onnx")
        (folder / "model.onnx").symlink_to(Path("elsewhere.onnx").resolve())

    def write_model(folder: Path, content: bytes) -> None:
        (folder / "model.onnx").write_bytes(content)
        _reseal(folder)

    def rename_input(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        for named in (*model.graph.input, *model.graph.node):
            if isinstance(named, onnx.NodeProto):
                named.input[:] = ["tokens" if name == "input_ids" else name for name in named.input]
            elif named.name == "input_ids":
                named.name = "tokens"
        write_model(folder, model.SerializeToString())

    def spoil_weight(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        for tensor in model.graph.initializer:
            if tensor.name.endswith("query.weight"):
                weight = numpy_helper.to_array(tensor).copy()
                weight[0, 0] = np.nan
                tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
        write_model(folder, model.SerializeToString())

    def keep_weights_outside(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        (folder / "reports").mkdir()
        weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        (folder / "reports" / "bench.json").write_bytes(weight.raw_data)
        weight.ClearField("raw_data")
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="reports/bench.json")
        write_model(folder, model.SerializeToString())

    manifest = "manifest.json"
    _copy("fp32", "changed-model", lambda folder: flip(folder, "model.onnx"))
    _copy(
        "fp32",
        "changed-manifest",
        lambda folder: (folder / manifest).write_text(
            (folder / manifest).read_text().replace('"task": "squad"', '"task": "Squad"')
        ),
    )
    _copy("fp32", "cut-manifest", lambda folder: (folder / manifest).write_text('{"digest": "'))
    _copy("fp32", "added", lambda folder: (folder / "new.txt").write_text("x"))
    _copy("fp32", "lost", lambda folder: (folder / "model.onnx").unlink())
    _copy("fp32", "escaping", lambda folder: _reseal(folder, "../model.onnx"))
    _copy("fp32", "linked", link)
    _copy("fp32", "outside", keep_weights_outside)
    _copy("fp32", "not-onnx", lambda folder: write_model(folder, b"not onnx"))
    _copy("fp32", "other-inputs", rename_input)
    _copy("fp32", "nan-artifact", spoil_weight)


def _write_unfit_artifacts() -> None:
    for name in ("borrowed", "passed", "edited", "unreadable"):
        shutil.copytree("int8", name)
    policies = {
        "strict": "least_questions: 1000",
        "odd": "least_question: 1000",
        "keyless": "signers: [release.pub]",
        "signed": f"signers: [{json.dumps(PUBLIC_KEY)}]",
    }
    for registry, policy in policies.items():
        Path(registry).mkdir()
        Path(registry, "policy.yaml").write_text(f"{policy}\n")
    save_tiny(Path("tagger"), config={"problem_type": "multi_label_classification"})
    save_tiny(Path("ranker"), config={"id2label": {"0": "LABEL_0"}})
    save_tiny(Path("tiny"))
    lengths = {"max_length": 64, "doc_stride": 16}
    said = StageRecord(stage="export", facts={"lengths": lengths})
    save_tiny(Path("short"), task="squad", stages=(said,))


def _write_hostile_files() -> None:
    """Write some of the files of test_hostile_files.py and test_confined.py, as people may meet them."""
    for name, row in {
        "fails-when-run": "fails when it is run",
        "circular": "a cycle",
        "giant": "giant dimensions",
        "expanding": "a tensor of 2^64 bytes",
        "devices": "external data of a device",
    }.items():
        save_tiny(Path(name), model=ONNX[row])
    save_tiny(Path("endless"), **HOSTILE["a loop without end"])
    for name, row in {
        "unread": "a pattern that cannot be read",
        "slow": "a pattern that takes for ever",
        "panics": "special tokens without ids",
    }.items():
        save_tiny(Path(name), change=_write("tokenizer.json", TOKENIZERS[row]))
    save_tiny(Path("nested"), config=DEEP)
    Path("long.jsonl").write_text(json.dumps({"id": "1", "text": "a" * 60 + "!", "label": "good"}) + "\n")
    _copy("ck", "infinite", _write("model.safetensors", SAFETENSORS["Infinity in a shape"]))
    _copy("ck", "overlapping", _overlap)
    config = json.loads(Path("ck/config.json").read_text()) | {"num_hidden_layers": 10**9}
    _copy("ck", "tall", lambda folder: (folder / "config.json").write_text(json.dumps(config)))
    Path("bomb.yaml").write_text(str(YAML["an alias bomb"]))


def _write(name: str, content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(content)


def _overlap(folder: Path) -> None:
    """Let a weight lie where another one of its size does."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    names = [f"bert.encoder.layer.0.attention.self.{part}.weight" for part in ("key", "query")]
    header[names[1]]["data_offsets"] = header[names[0]]["data_offsets"]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def _write_foreign_folders() -> None:
    """Write what other tools leave: a model, config and tokenizer, and no manifest."""
    import onnx

    def forget(folder: Path) -> None:
        (folder / "manifest.json").unlink()

    def fix_shapes(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        for entry in model.graph.input:
            for axis, size in zip(entry.type.tensor_type.shape.dim, (1, 384), strict=True):
                axis.dim_value = size
        onnx.save(model, folder / "model.onnx")

    def leave_alone(folder: Path) -> None:
        for name in ("config.json", "vocab.txt"):
            (folder / name).unlink()

    _copy("fp32", "theirs", forget)
    _copy("theirs", "several", lambda folder: shutil.copyfile(folder / "model.onnx", folder / "int8.onnx"))
    _copy("theirs", "bare", leave_alone)
    _copy("theirs", "fixed", fix_shapes)
    _copy("other-inputs", "tokens", forget)
    _copy("not-onnx", "no-model", forget)
    for name, labels in (("tagger", 2), ("ranker", 2), ("number", 1)):
        if name == "number":
            save_tiny(Path("number"), model=tiny_graph("text-classification", labels=labels))
        _copy(name, f"their-{name}", forget)


def _reseal(folder: Path, model: str = "model.onnx") -> None:
    """Write a manifest that fits the files, as somebody would who wants the change to go unnoticed."""
    from quantkit.artifact.manifest import content_files, hash_files

    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    del content["seal"]
    files = {name: record.model_dump() for name, record in hash_files(folder, content_files(folder)).items()}
    files[model] = files.pop("model.onnx")
    content |= {"files": files, "digest": digest_of(files)}
    content["seal"] = digest_of(content)
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def _write_datasets() -> None:
    good = dataset(("a", "Who wrote it?", ["Ann"]), ("b", "Who?", ["Ann"]))
    contents = {
        "d": good,
        "others": dataset(("x", "Who wrote it?", ["Ann"]), ("y", "Who?", ["Ann"])),
        "many": dataset(*((f"m{number}", "Who wrote it?", ["b"]) for number in range(12)), context="b"),
        "third": dataset(("z", "Who wrote it?", ["Ann"])),
        "empty": "",
        "cut": good[:60],
        "schema": '{"data": {}}',
        "none": '{"data": []}',
        "twice": dataset(("a", "Who?", ["Ann"]), ("a", "Who wrote it?", ["Ann"])),
        "v2": dataset(("a", "Who?", [])),
        "blank": dataset(("a", "", ["x"]), ("b", "", ["x"]), context=""),
        "strange": dataset(
            ("a", "who " * 200, ["Ann"]),
            ("b", "", [""]),
            ("c", "🤷 who?", ["👩‍👩‍👧"]),
            context="a b 👩‍👩‍👧 " * 400,
        ),
    }
    for name, content in contents.items():
        Path(f"{name}.json").write_text(content, encoding="utf-8")
    Path("texts.jsonl").write_text(TEXTS, encoding="utf-8")
    Path("untagged.conll").write_text("ann B-PER\nwrote\n")
    Path("empty.conll").write_text("-DOCSTART- O\n\n")
    Path("whole.jsonl").write_text('{"tokens": "ann wrote", "ner_tags": ["B-PER", "O"]}\n')
    Path("fewer.jsonl").write_text(
        '{"tokens": ["it"], "ner_tags": ["O"]}\n{"tokens": ["ann", "wrote"], "ner_tags": ["B-PER"]}\n'
    )
    Path("latin.csv").write_text("text,label\nMüller,1\n", encoding="latin-1")
    Path("stars.csv").write_text("words,stars\ngood,1\n", encoding="utf-8")
    Path("short.csv").write_text("text,label\ngood\n", encoding="utf-8")
    Path("cut.jsonl.gz").write_bytes(gzip.compress(TEXTS.encode())[:-4])
    Path("graded.csv").write_text("text,grade\ngood,1\n", encoding="utf-8")
    Path("calls.txt").write_text("good\nbad\n", encoding="utf-8")
    rows: dict[str, list[dict[str, object]]] = {
        "sets": [{"text": "good", "labels": {"joy": 1}}],
        "scores": [{"text": "good", "score": "high"}],
        "ranks": [{"query": "good", "passage": "bad", "relevance": -1}],
        "queries": [{"qid": 1, "query": "good", "passage": "a"}, {"qid": 1, "query": "bad", "passage": "a"}],
    }
    for name, lines in rows.items():
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))


@pytest.fixture
def run(world: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    monkeypatch.chdir(world)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return lambda command: CliRunner().invoke(main, shlex.split(command))


def test_the_document_has_rows() -> None:
    """The pattern that finds the rows finds them all: those with an exit code."""
    assert len(ROWS) == len(re.findall(r"\| \d \|$", DOCUMENT, re.M)) > 40


@pytest.mark.parametrize(("command", "line", "code"), [row[1:] for row in ROWS], ids=[row[1] for row in ROWS])
def test_bad_input_prints_what_the_document_says(
    run: Callable[[str], Any], world: Path, pass_gate: Any, command: str, line: str, code: str
) -> None:
    """One line on stderr as documented, nothing on stdout, its exit code, and no file more or less."""
    if "--engine ray" in command:
        pytest.importorskip("ray", reason="needs the extra [ray]")
    if "borrowed" in command:
        from quantkit.artifact import Artifact

        pass_gate(Artifact.open(world / "borrowed"), digest="9" * 64)
    for name in ("passed", "edited", "unreadable"):
        if f"publish {name}" in command:
            from quantkit.artifact import Artifact

            artifact = Artifact.open(world / name)
            report = pass_gate(artifact)
            if name == "edited":
                artifact.write_report("gate.json", {**report.as_json(), "ratio": 0.5})
            if name == "unreadable":
                artifact.write_report("lineage.json", '{"cut')
    before = _listing(world)
    result = run(command)
    pattern = ".+".join(re.escape(part) for part in line.split("…"))
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert re.fullmatch(pattern, result.stderr.strip()), result.stderr
    assert (int(code), "") == (result.exit_code, result.stdout)
    assert before == _listing(world)


def _listing(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.lstat().st_size
        for path in folder.rglob("*")
        if not path.is_dir()
        and "cache" not in path.parts
        and path.name != ".lock"
        and "reports" not in path.parts
    }


def test_strange_text_is_no_mistake(run: Callable[[str], Any]) -> None:
    """Long questions, long paragraphs, empty texts and emoji are evaluated."""
    result = run("evaluate fp32 --data strange.json --json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["questions"] == 3
