"""docs/cases.md, row by row: what transformers and what quantkit make of checkpoints, artifacts and files."""

import gzip
import json
import logging
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_models import TEXTS, save_tiny, tiny_graph

from quantkit.cli.main import main

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "cases.md").read_text(encoding="utf-8")
_CHECKPOINTS = DOCUMENT[DOCUMENT.index("## Checkpoints") : DOCUMENT.index("## Artifacts")]
_COMMANDS = DOCUMENT[DOCUMENT.index("## Artifacts") : DOCUMENT.index("## SQuAD 2.0")]
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| (.+) \|$", re.M)
CHECKPOINTS = _ROW.findall(_CHECKPOINTS)[1:]
COMMANDS = _ROW.findall(_COMMANDS)[1:]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
QUERY = "bert.encoder.layer.0.attention.self.query"
Change = Callable[[Path], Any]


def edit_json(name: str, **values: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | values))

    return change


def edit_weights(edit: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Change:
    def change(folder: Path) -> None:
        from safetensors.numpy import load_file, save_file

        path = folder / "model.safetensors"
        save_file(edit(load_file(path)), path, {"format": "pt"})

    return change


def prefix(text: str) -> Change:
    return edit_weights(lambda weights: {f"{text}{name}": array for name, array in weights.items()})


def extra(*names: str) -> Change:
    more = {name: np.ones((2, 32), np.float32) for name in names}
    return edit_weights(lambda weights: weights | more)


def only(name: str) -> Change:
    """Give the weights' file another name, which stands for one of another form."""
    return lambda folder: (folder / "model.safetensors").rename(folder / name)


def pickle(folder: Path) -> None:
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def no_head(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in weights.items() if not name.startswith("qa_outputs")}


def rows(count: int) -> Change:
    """Give the model a word embedding of so many rows."""

    def change(folder: Path) -> None:
        name = "bert.embeddings.word_embeddings.weight"
        resize = edit_weights(lambda weights: weights | {name: np.resize(weights[name], (count, 32))})
        resize(folder)
        edit_json("config.json", vocab_size=count)(folder)

    return change


def one_type(folder: Path) -> None:
    name = "bert.embeddings.token_type_embeddings.weight"
    edit_weights(lambda weights: weights | {name: weights[name][:1].copy()})(folder)
    edit_json("config.json", type_vocab_size=1)(folder)


def linked(how: Callable[[Path, Path], Any]) -> Change:
    """Move the files elsewhere, and link to them."""

    def change(folder: Path) -> None:
        elsewhere = folder.parent / "elsewhere"
        folder.rename(elsewhere)
        folder.mkdir()
        for path in elsewhere.iterdir():
            how(folder / path.name, path)

    return change


def in_cache(blobs: str) -> Change:
    """Make the folder a link to a snapshot in a cache, whose files are links to `blobs` of its repository."""

    def change(folder: Path) -> None:
        repository = folder.parent / "models--ann--ck"
        (repository / "snapshots").mkdir(parents=True)
        shutil.move(folder, repository / blobs)
        snapshot = repository / "snapshots" / "1"
        snapshot.mkdir()
        for path in (repository / blobs).iterdir():
            (snapshot / path.name).symlink_to(f"../../{blobs}/{path.name}")
        folder.symlink_to(snapshot)

    return change


def token(index: object) -> Change:
    return edit_json("added_tokens.json", **{"[USR]": index})


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


CHANGES: dict[str, Change] = {
    "as it is saved": lambda folder: None,
    "names that begin with `module.`": prefix("module."),
    "names that begin with `_orig_mod.`": prefix("_orig_mod."),
    "names that begin with `model.`": prefix("model."),
    "no head": edit_weights(no_head),
    "LoRA, not merged": extra(f"{QUERY}.lora_A.weight"),
    "an adapter in a layer": extra("bert.encoder.layer.0.output.adapters.x.down.weight"),
    "prefix tuning": extra("prefix_encoder.embedding.weight"),
    "a weight of one's own in a layer": extra("bert.encoder.layer.0.gate.weight"),
    "a layer of one's own in the head": extra("dense_before.weight", "dense_before.bias"),
    **{
        f"{name} alone": only(name)
        for name in (
            "model.fp16.safetensors",
            "tf_model.h5",
            "flax_model.msgpack",
            "best.pt",
            "model.onnx",
        )
    },
    "pytorch_model.bin alone": pickle,
    "hard links (`cp -al`)": linked(lambda new, old: new.hardlink_to(old)),
    "links of one's own": linked(lambda new, old: new.symlink_to(old.resolve())),
    "a snapshot in the cache of the Hub": in_cache("blobs"),
    "a link that leaves the cache": in_cache("else"),
    "more rows than tokens": rows(64),
    "more tokens than rows": rows(40),
    "added_tokens.json beside vocab.txt": both(rows(64), token(57)),
    "added_tokens.json with a token too many": token(57),
    "`type_vocab_size` 1": one_type,
    "`return_dict` false": edit_json("config.json", return_dict=False),
    "`chunk_size_feed_forward` 8": edit_json("config.json", chunk_size_feed_forward=8),
    '`hidden_size` "32"': edit_json("config.json", hidden_size="32"),
    "`hidden_act` 7": edit_json("config.json", hidden_act=7),
    '`num_labels` "two"': edit_json("config.json", num_labels="two"),
    "`id2label` a list": edit_json("config.json", id2label=["a", "b"]),
    '`do_lower_case` "no"': edit_json("tokenizer_config.json", do_lower_case="no"),
    '`model_max_length` "many"': edit_json("tokenizer_config.json", model_max_length="many"),
    "`cls_token` 5": edit_json("tokenizer_config.json", cls_token=5),
    "`unk_token` null": edit_json("tokenizer_config.json", unk_token=None),
    "an id in added_tokens.json as text": token("57"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny checkpoint."""
    folder = tmp_path_factory.mktemp("cases") / "ck"
    torch.manual_seed(7)
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    transformers.BertForQuestionAnswering(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


@pytest.fixture
def checkpoint(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy to spoil, `ck` in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(plain, "ck"))


def by_transformers(folder: Path) -> str:
    """Return what transformers makes of a folder, in the document's words."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer("a b 東", "c")
        _, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
            folder, output_loading_info=True, local_files_only=True
        )
    except Exception:  # noqa: BLE001  (whatever it is that it raises)
        return "refuses"
    finally:
        transformers.logging.set_verbosity(verbosity)
    if report["missing_keys"]:
        return "random weights"
    return "leaves weights out" if report["unexpected_keys"] else "loads it"


def by_quantkit(name: str) -> None:
    """Do what export does before it traces."""
    from quantkit.checkpoint import read_checkpoint
    from quantkit.checkpoint.load import load_model
    from quantkit.checkpoint.same_ids import read_as_transformers_do

    source = read_checkpoint(name, task="squad")
    read_as_transformers_do(
        source.folder,
        Path(),
        name=name,
        vocab_size=source.vocab_size,
        token_types=source.token_types > 1,
    )
    load_model(source)


def test_every_kind_is_made() -> None:
    """The document has a row for each kind that is made here, and none besides."""
    assert [kind for kind, *_ in CHECKPOINTS] == list(CHANGES)
    assert len(COMMANDS) > 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "theirs", "ours"), CHECKPOINTS, ids=[row[0] for row in CHECKPOINTS])
def test_checkpoints(
    checkpoint: Path, kind: str, theirs: str, ours: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Both sides do what the row says, and a refusal leaves nothing."""
    CHANGES[kind](checkpoint)
    assert by_transformers(checkpoint) == theirs
    if ours == "opens it":
        with caplog.at_level(logging.WARNING, "quantkit"):
            by_quantkit(str(checkpoint))
        assert caplog.messages == []
        return
    done = CliRunner().invoke(main, ["export", str(checkpoint), "-o", "out"])
    assert done.stderr == f"{ours.strip('`')}\n"
    warned = ours.startswith("`warning")
    assert (done.exit_code, Path("out").exists()) == ((0, True) if warned else (2, False))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the artifacts and files of the second table."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QUANTKIT_CACHE", str(folder / "cache"))
        _write_artifacts()
        _write_data()
    return folder


def _write_artifacts() -> None:
    import onnx

    save_tiny(Path("tiny"))

    def outside(folder: Path) -> None:
        graph = tiny_graph("text-classification")
        settings: dict[str, Any] = {"location": "model.onnx.data", "size_threshold": 50}
        onnx.save(graph, folder / "model.onnx", save_as_external_data=True, **settings)

    save_tiny(Path("external"), change=outside)
    shutil.copytree("external", "hard", copy_function=lambda old, new: Path(new).hardlink_to(old))
    for revision, home in (("1", "blobs"), ("2", "else")):
        shutil.copytree("tiny", f"models--ann--tiny/{home}")
        snapshot = Path("models--ann--tiny/snapshots", revision)
        snapshot.mkdir(parents=True)
        for path in Path("tiny").iterdir():
            (snapshot / path.name).symlink_to(
                f"../../{'blobs' if path.suffix == '.json' else home}/{path.name}"
            )


def _write_data() -> None:
    asked = {"id": "a", "question": "who?", "answers": [{"text": "Zoë"}]}

    def squad(*questions: dict[str, Any]) -> str:
        return json.dumps(
            {"data": [{"title": "t", "paragraphs": [{"context": "Zoë wrote it.", "qas": list(questions)}]}]},
            ensure_ascii=False,
        )

    table = "text,label\nZoë,good\n"
    impossible = {"id": "b", "question": "when?", "answers": [], "is_impossible": True}
    texts = {
        "rows.jsonl": TEXTS,
        "columns.json": json.dumps({"text": ["good", "bad"], "label": ["good", "bad"]}),
        "v2.json": squad(asked, impossible),
        "both.json": squad({**asked, "is_impossible": True}),
    }
    for name, text in texts.items():
        Path(name).write_text(text)
    contents = {
        "marked.csv": table.encode("utf-8-sig"),
        "rows.jsonl.gz": gzip.compress(TEXTS.encode()),
        "packed.csv": gzip.compress(table.encode()),
        "utf16.csv": table.encode("utf-16"),
        "bare16.json": squad(asked).encode("utf-16-le"),
        "utf32.csv": table.encode("utf-32"),
        "latin.csv": table.encode("latin-1"),
        "latin.json": squad(asked).encode("latin-1"),
    }
    for name, content in contents.items():
        Path(name).write_bytes(content)
    with zipfile.ZipFile("rows.zip", "w") as archive:
        archive.write("rows.jsonl")


@pytest.mark.parametrize(("kind", "command", "what"), COMMANDS, ids=[row[0] for row in COMMANDS])
def test_artifacts_and_data(
    files: Path, monkeypatch: pytest.MonkeyPatch, kind: str, command: str, what: str
) -> None:
    """The command ends as the row says, with its line and nothing else on stderr."""
    monkeypatch.chdir(files)
    monkeypatch.setenv("QUANTKIT_CACHE", str(files / "cache"))
    done = CliRunner().invoke(main, shlex.split(command.strip("`")), prog_name="quantkit")
    wanted = (0, "") if what == "rc 0" else (2, f"{what.removeprefix('`').removesuffix('`')}\n")
    assert (done.exit_code, done.stderr) == wanted, kind
