"""Checkpoints that cannot be exported: each one gets one clear line, and nothing is left behind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.errors import CheckpointError, ExportError, OutputError, QuantkitError, UsageError
from quantkit.recipe.settings import ExportSettings
from quantkit.stages.export import export


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder: Path, edit: Callable[[dict[str, np.ndarray]], None]) -> None:
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def cut_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:40])


def empty_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def garble_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[9:30] = b"\xff" * 21
    path.write_bytes(bytes(content))


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def drop_weight(name: str) -> Callable[[Path], None]:
    return lambda folder: edit_weights(folder, lambda weights: weights.pop(name))


def poison(value: float) -> Callable[[Path], None]:
    def edit(weights: dict[str, np.ndarray]) -> None:
        weights["bert.encoder.layer.1.output.dense.weight"][3, 4] = value

    return lambda folder: edit_weights(folder, edit)


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def lose_part(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"qa_outputs.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def escape_folder(folder: Path) -> None:
    index = {"weight_map": {"qa_outputs.weight": "../model.safetensors"}}
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}")


def unmerged(folder: Path) -> None:
    name = "bert.encoder.layer.0.attention.self.query.lora_A.weight"
    edit_weights(folder, lambda weights: weights.update({name: np.zeros((2, 32), np.float32)}))


def wider(folder: Path) -> None:
    name = "bert.encoder.layer.0.intermediate.dense.weight"
    edit_weights(folder, lambda weights: weights.update({name: np.zeros((65, 32), np.float32)}))


def longer_vocabulary(folder: Path) -> None:
    with (folder / "vocab.txt").open("a") as stream:
        stream.writelines(f"word{index}\n" for index in range(300))


def as_fp8(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entry = header["qa_outputs.bias"]
    entry["dtype"], entry["shape"] = "F8_E4M3", [entry["data_offsets"][1] - entry["data_offsets"][0]]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (drop("config.json"), "has no config.json; copy"),
    "config is no JSON": (
        lambda folder: (folder / "config.json").write_text("{"),
        "config.json: is not JSON",
    ),
    "config is a list": (lambda folder: (folder / "config.json").write_text("[]"), "not a JSON object"),
    "no weights": (drop("model.safetensors"), "has no model.safetensors"),
    "truncated": (truncate, "model.safetensors: is damaged or truncated: it has"),
    "header cut off": (cut_header, "is damaged or truncated: its header is cut off"),
    "empty file": (empty_weights, "is damaged or truncated"),
    "garbled header": (garble_header, "is damaged or truncated: its header"),
    "a part is missing": (lose_part, "names 'model-00001-of-00002.safetensors', which is not in the folder"),
    "a part is elsewhere": (escape_folder, "names '../model.safetensors', which is not in the folder"),
    "pickle only": (only_pickle, "only as a pickle .pytorch_model.bin.*--allow-pickle"),
    "NaN": (poison(float("nan")), r"layer\.1\.output\.dense\.weight has NaN or infinite values"),
    "infinity": (poison(float("inf")), r"layer\.1\.output\.dense\.weight has NaN or infinite values"),
    "no head": (drop_weight("qa_outputs.weight"), "no weight qa_outputs.weight.*would be random"),
    "no bias of the head": (
        drop_weight("qa_outputs.bias"),
        "1 weights are missing, the first is qa_outputs.bias",
    ),
    "no weight inside": (
        drop_weight("bert.encoder.layer.1.output.dense.weight"),
        r"the first is bert\.encoder\.layer\.1\.output\.dense\.weight",
    ),
    "more layers than weights": (
        lambda folder: edit_config(folder, num_hidden_layers=3),
        "weights are missing",
    ),
    "another width": (wider, r"intermediate\.dense\.weight is \[65, 32\] where config.json says \[64, 32\]"),
    "no tokenizer": (drop("vocab.txt"), "has no tokenizer"),
    "another vocabulary": (longer_vocabulary, "the tokenizer has .* tokens but the model"),
    "unknown family": (
        lambda folder: edit_config(folder, model_type="robertta"),
        "'robertta' is not supported; did you mean 'roberta'.; supported are albert, bert",
    ),
    "no family": (lambda folder: edit_config(folder, model_type=None), "names no model_type"),
    "another task": (
        lambda folder: edit_config(folder, architectures=["BertForSequenceClassification"]),
        "BertForSequenceClassification is not for squad; export it with --task text-classification",
    ),
    "a base model": (
        lambda folder: edit_config(folder, architectures=["BertForMaskedLM"]),
        "BertForMaskedLM has no head for squad",
    ),
    "quantized": (
        lambda folder: edit_config(folder, quantization_config={"quant_method": "gptq"}),
        "quantized already",
    ),
    "8-bit floats": (as_fp8, "qa_outputs.bias is stored as F8_E4M3, which is quantized"),
    "an adapter": (adapter, "is a PEFT adapter"),
    "an unmerged adapter": (unmerged, "lora_A.* belongs to an unmerged LoRA adapter"),
    "heads do not divide": (
        lambda folder: edit_config(folder, num_attention_heads=5),
        "5 heads do not divide",
    ),
    "no hidden size": (lambda folder: edit_config(folder, hidden_size=None), "hidden_size"),
    "relative positions": (
        lambda folder: edit_config(folder, position_embedding_type="relative_key"),
        "'relative_key' position embeddings are not supported",
    ),
    "a decoder": (lambda folder: edit_config(folder, is_decoder=True), "is_decoder is set"),
    "an unknown activation": (
        lambda folder: edit_config(folder, hidden_act="tanhh"),
        "transformers cannot load it",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_checkpoint_gets_one_line(make_checkpoint: Callable, tmp_path: Path, what: str) -> None:
    """What is wrong with a checkpoint is said in one line, and no part of an artifact is left."""
    spoil, message = BAD[what]
    folder = tmp_path / "checkpoint"
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder)
    spoil(folder)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=message) as caught:
        export(str(folder), tmp_path / "out", task="squad", settings=ExportSettings())
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "message"), [("nowhere/at all", "no such folder"), ("./nowhere", "no such folder")]
)
def test_a_missing_folder_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    """A path that cannot be a Hugging Face id is looked for nowhere else."""
    with pytest.raises(CheckpointError, match=message):
        export(name, tmp_path / "out", task="squad", settings=ExportSettings())


def test_a_file_is_not_a_checkpoint(make_checkpoint: Callable, tmp_path: Path) -> None:
    """The weights file in place of its folder is named as the mistake."""
    path = make_checkpoint("bert", "squad").folder / "model.safetensors"
    with pytest.raises(CheckpointError, match="is a file; give the folder"):
        export(str(path), tmp_path / "out", task="squad", settings=ExportSettings())


def test_a_pickle_with_code_is_refused(make_checkpoint: Callable, tmp_path: Path) -> None:
    """Even with allow_pickle, a pickle that would run code is not unpickled."""
    import pickle

    folder = tmp_path / "checkpoint"
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Path.cwd}))
    with pytest.raises(CheckpointError, match="cannot be unpickled safely"):
        export(str(folder), tmp_path / "out", task="squad", settings=ExportSettings(allow_pickle=True))


def test_nan_logits_are_an_error(make_checkpoint: Callable, tmp_path: Path) -> None:
    """Weights that are finite but overflow in the model are refused when their logits are not finite."""

    def overflow(weights: dict[str, np.ndarray]) -> None:
        weights["qa_outputs.weight"][:] = 3e38

    folder = tmp_path / "checkpoint"
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder)
    edit_weights(folder, overflow)
    with pytest.raises(CheckpointError, match=r"start_logits at .* are NaN or infinite"):
        export(str(folder), tmp_path / "out", task="squad", settings=ExportSettings())


def test_an_unknown_task_is_named(make_checkpoint: Callable, tmp_path: Path) -> None:
    """A task without an export is an error that lists the tasks."""
    folder = make_checkpoint("bert", "squad").folder
    with pytest.raises(UsageError, match="choose one of squad, text-classification"):
        export(str(folder), tmp_path / "out", task="summarize", settings=ExportSettings())


def test_an_output_that_is_not_empty_is_kept(make_checkpoint: Callable, tmp_path: Path) -> None:
    """Without force a folder with something in it is refused before the checkpoint is looked at."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        export("./nowhere", out, task="squad", settings=ExportSettings())
    assert (out / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_export_leaves_nothing(
    make_checkpoint: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Ctrl-C or a full disk in the middle of the stage leaves neither an artifact nor a part of one."""

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr("quantkit.stages.export.onnx.checker.check_model", fail)
    folder = make_checkpoint("bert", "squad").folder
    before = sorted(tmp_path.iterdir())
    expected = KeyboardInterrupt if error is KeyboardInterrupt else OutputError
    with pytest.raises(expected):
        export(str(folder), tmp_path / "out", task="squad", settings=ExportSettings())
    assert sorted(tmp_path.iterdir()) == before


def test_errors_of_the_stage_are_mistakes_of_the_user() -> None:
    """Every error that export raises on purpose ends with exit code 2."""
    for kind in (CheckpointError, ExportError, OutputError, UsageError):
        assert issubclass(kind, QuantkitError)
        assert kind.exit_code == 2
