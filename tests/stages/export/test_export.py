"""export: checkpoints of every family become graphs that say what they should, and nothing more."""

import itertools
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

from quantkit.architectures import expected_fusions
from quantkit.artifact import Artifact
from quantkit.checkpoint import checkpoint_digest
from quantkit.errors import ExportError, UsageError
from quantkit.graph.fusion.contract import fuse_graph, fused_counts
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import load_model
from quantkit.recipe.settings import ExportSettings
from quantkit.stages.export import Source, export, ingredients
from quantkit.tasks import task
from quantkit.tasks.data_places import DataPlaces

FAMILIES = ("bert", "roberta", "distilbert", "decibert", "electra", "mobilebert")
TASKS = ("squad", "text-classification", "token-classification")
TOKEN_TYPES = {"bert", "decibert", "electra", "mobilebert"}


@pytest.fixture(scope="module", params=list(itertools.product(FAMILIES, TASKS)), ids="-".join)
def exported(
    request: pytest.FixtureRequest, make_checkpoint: Callable, export_plain: Callable
) -> tuple[Path, Artifact]:
    """Return a tiny checkpoint and its artifact, for every family and task."""
    family, task = request.param
    return make_checkpoint(family, task).folder, export_plain(family, task)


def parameters_of(checkpoint: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(checkpoint / "model.safetensors")


def initializers_of(artifact: Artifact) -> dict[str, np.ndarray]:
    model = onnx.load(artifact.model_path)
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_parity_is_recorded_for_four_shapes_and_four_masks(exported: tuple[Path, Artifact]) -> None:
    """The stage record holds the difference to PyTorch of every shape and mask, each within atol."""
    record = exported[1].manifest.stage("export")
    assert record is not None
    parity = record.facts["parity"]
    assert len(parity["max_abs_diff"]) == 16
    assert {name.split(" ", 1)[1] for name in parity["max_abs_diff"]} == {
        "right-padded",
        "left-padded",
        "holes",
        "all ones",
    }
    assert max(parity["max_abs_diff"].values()) <= parity["atol"] == 1e-4


def test_the_interface_is_dynamic_and_typed(exported: tuple[Path, Artifact]) -> None:
    """Inputs are int64 [batch, sequence], outputs float32; no other inputs are left."""
    artifact = exported[1]
    model = onnx.load(artifact.model_path)
    inputs = ["input_ids", "attention_mask"]
    if artifact.manifest.architecture in TOKEN_TYPES:
        inputs.append("token_type_ids")
    assert [value.name for value in model.graph.input] == inputs
    for value in model.graph.input:
        assert value.type.tensor_type.elem_type == onnx.TensorProto.INT64
        assert [size.dim_param for size in value.type.tensor_type.shape.dim] == ["batch", "sequence"]
    outputs = ["start_logits", "end_logits"] if artifact.task == "squad" else ["logits"]
    assert [value.name for value in model.graph.output] == outputs
    assert {value.type.tensor_type.elem_type for value in model.graph.output} == {onnx.TensorProto.FLOAT}
    assert model.ir_version == 10
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]


def test_linear_layers_carry_their_module_path(exported: tuple[Path, Artifact]) -> None:
    """Every MatMul with a weight is named by its module; the weight is the checkpoint's, transposed."""
    checkpoint, artifact = exported
    weights, stored = parameters_of(checkpoint), initializers_of(artifact)
    model = onnx.load(artifact.model_path)
    consumers = {node.input[index]: node for node in model.graph.node for index in range(len(node.input))}
    linears = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in stored]
    assert len({node.name for node in linears}) == len(linears) > 10
    for node in linears:
        assert node.input[1] == f"{node.name}.weight"
        np.testing.assert_array_equal(stored[node.input[1]], weights[node.input[1]].T)
        if f"{node.name}.bias" not in weights:
            continue  # words of a factorised embedding
        add = consumers[node.output[0]]
        assert add.op_type == "Add"
        assert f"{node.name}.bias" in add.input
    assert not [node for node in model.graph.node if node.op_type in ("Gemm", "Identity", "Constant")]


def test_every_parameter_is_there_once_under_its_own_name(exported: tuple[Path, Artifact]) -> None:
    """What the graph uses of the checkpoint keeps its torch name and values, and nothing is stored twice."""
    checkpoint, artifact = exported
    weights, stored = parameters_of(checkpoint), initializers_of(artifact)
    named = {name: array for name, array in stored.items() if name in weights}
    unused = set(weights) - set(named)
    # The pooler of a base model feeds no question-answering head.
    assert not [name for name in unused if "pooler" not in name]
    for name, array in named.items():
        assert array.dtype == np.float32
        same = array.shape == weights[name].shape and (array == weights[name]).all()
        assert same or (array == weights[name].T).all()
    assert max((array.size for name, array in stored.items() if name not in named), default=0) <= 66


def test_everything_fuses_that_the_family_promises(exported: tuple[Path, Artifact]) -> None:
    """Fusing the exported graph gives exactly the counts that the architecture expects."""
    artifact = exported[1]
    fused = fused_counts(fuse_graph(load_model(artifact.model_path)))
    expected = expected_fusions(artifact.config, task(artifact.task).head)
    assert {name: fused.get(name, 0) for name in expected} == expected


@pytest.mark.parametrize("activation", ["gelu_python", "gelu_new", "relu"])
def test_other_activations_fuse_as_expected(
    make_checkpoint: Callable, tmp_path: Path, activation: str
) -> None:
    """Whatever hidden_act is, the expected counts are those that fusing finds."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        config.replace('"hidden_act": "gelu"', f'"hidden_act": "{activation}"')
    )
    artifact = export(str(folder), tmp_path / "out", task="squad", settings=ExportSettings())
    fused = fused_counts(fuse_graph(load_model(artifact.model_path)))
    expected = expected_fusions(artifact.config, task(artifact.task).head)
    assert {name: fused.get(name, 0) for name in expected} == expected
    assert fused.get("FastGelu", 0) == (2 if activation == "gelu_new" else 0)


def test_the_file_tells_nothing_of_the_machine(exported: tuple[Path, Artifact]) -> None:
    """No path, no doc string and no metadata of the tracing is in the model or the manifest."""
    checkpoint, artifact = exported
    bytes_ = artifact.model_path.read_bytes()
    manifest = (artifact.path / "manifest.json").read_bytes()
    for trace in (str(Path.cwd()), sys.prefix, str(Path.home()), str(checkpoint), str(artifact.path.parent)):
        assert trace.encode() not in bytes_
        assert trace.encode() not in manifest
    assert b".py" not in bytes_
    model = onnx.load(artifact.model_path)
    assert not model.doc_string
    assert not model.metadata_props
    assert not [node for node in model.graph.node if node.doc_string or node.metadata_props]
    assert not [node.name for node in model.graph.node if "traced" in node.name]


def test_the_artifact_is_whole(exported: tuple[Path, Artifact]) -> None:
    """The artifact opens with every byte checked and has config and tokenizer beside the model."""
    checkpoint, artifact = exported
    again = Artifact.open(artifact.path)
    assert again.digest == artifact.digest
    assert (again.manifest.precision, again.manifest.parent) == ("fp32", None)
    assert "config.json" in again.manifest.files
    assert {"vocab.txt", "tokenizer.json"} & set(again.manifest.files)
    record = again.manifest.stage("export")
    assert record is not None
    assert record.facts["checkpoint_digest"] == checkpoint_digest(str(checkpoint))
    source = Source(checkpoint=str(checkpoint), task=artifact.task)
    assert record.key == ingredients(source, ExportSettings(), DataPlaces()).key("export")
    assert record.facts["parameters"] > 10_000
    assert set(record.tools) >= {"torch", "transformers", "onnx", "onnxruntime"}


def test_the_same_checkpoint_gives_the_same_bytes(
    make_checkpoint: Callable, export_plain: Callable, tmp_path: Path
) -> None:
    """Exporting twice gives the same digest."""
    task = "text-classification"
    checkpoint = make_checkpoint("electra", task).folder
    again = export(str(checkpoint), tmp_path / "again", task=task, settings=ExportSettings())
    assert again.digest == export_plain("electra", task).digest


def test_external_data_can_be_forced(
    make_checkpoint: Callable, export_plain: Callable, tmp_path: Path
) -> None:
    """With external_data yes the weights are in model.onnx.data, and the model computes the same."""
    checkpoint = make_checkpoint("bert", "squad").folder
    whole = export_plain("bert", "squad")
    split = export(
        str(checkpoint), tmp_path / "split", task="squad", settings=ExportSettings(external_data="yes")
    )
    assert set(split.manifest.files) >= {"model.onnx", "model.onnx.data"}
    assert "model.onnx.data" not in whole.manifest.files
    assert split.manifest.files["model.onnx"].size < whole.manifest.files["model.onnx"].size / 2
    feeds = {name: np.ones((2, 9), np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    results = [
        onnxruntime.InferenceSession(artifact.model_path).run(None, feeds) for artifact in (whole, split)
    ]
    np.testing.assert_array_equal(results[0], results[1])


def test_external_data_comes_by_itself_above_the_limit(
    make_checkpoint: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the limit of one file auto splits, and no is an error that leaves nothing behind."""
    monkeypatch.setattr("quantkit.graph.model.PROTOBUF_LIMIT", 10_000)
    monkeypatch.setattr("quantkit.stages.export.PROTOBUF_LIMIT", 10_000)
    checkpoint = str(make_checkpoint("bert", "squad").folder)
    split = export(checkpoint, tmp_path / "auto", task="squad", settings=ExportSettings())
    assert "model.onnx.data" in split.manifest.files
    with pytest.raises(ExportError, match="allow external data"):
        export(checkpoint, tmp_path / "no", task="squad", settings=ExportSettings(external_data="no"))
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["auto"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_checkpoints_become_fp32_graphs(
    make_checkpoint: Callable, tmp_path: Path, dtype: str
) -> None:
    """Weights stored in 16 bits are exported as float32 with exactly their values."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "half"
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder)
    full = load_file(folder / "model.safetensors")
    half = {name: tensor.to(getattr(torch, dtype)) for name, tensor in full.items()}
    save_file(half, folder / "model.safetensors", {"format": "pt"})
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"float32"', f'"{dtype}"'))
    stored = initializers_of(export(str(folder), tmp_path / "out", task="squad", settings=ExportSettings()))
    assert {array.dtype.name for array in stored.values()} <= {"float32", "int64", "bool"}
    name = "bert.encoder.layer.1.output.dense.weight"
    np.testing.assert_array_equal(stored[name], half[name].float().numpy().T)


def test_a_pickle_is_exported_when_allowed(
    make_checkpoint: Callable, export_plain: Callable, tmp_path: Path
) -> None:
    """With allow_pickle a pickled checkpoint gives the same graph as its safetensors twin."""
    import torch
    from safetensors.torch import load_file

    folder = tmp_path / "pickled"
    source = make_checkpoint("bert", "squad").folder
    shutil.copytree(source, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    allowed = export(str(folder), tmp_path / "a", task="squad", settings=ExportSettings(allow_pickle=True))
    assert allowed.manifest.files["model.onnx"] == export_plain("bert", "squad").manifest.files["model.onnx"]


def test_a_split_checkpoint_is_exported(
    make_checkpoint: Callable, export_plain: Callable, tmp_path: Path
) -> None:
    """A checkpoint in several safetensors files gives the same graph as the one in one file."""
    import transformers

    source = make_checkpoint("bert", "squad").folder
    folder = tmp_path / "parts"
    shutil.copytree(source, folder)
    (folder / "model.safetensors").unlink()
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(source)
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    parts = export(str(folder), tmp_path / "a", task="squad", settings=ExportSettings())
    assert parts.manifest.files["model.onnx"] == export_plain("bert", "squad").manifest.files["model.onnx"]


def test_a_difference_above_atol_fails_and_names_the_case(make_checkpoint: Callable, tmp_path: Path) -> None:
    """A graph that differs by more than atol is an ExportError with the worst shape and mask."""
    checkpoint = str(make_checkpoint("bert", "squad").folder)
    with pytest.raises(ExportError, match=r"differs from PyTorch by \S+ at \d+x\d+ (right|left|holes|all)"):
        export(checkpoint, tmp_path / "out", task="squad", settings=ExportSettings(atol=1e-12))
    assert not (tmp_path / "out").exists()


def test_a_mask_that_is_ignored_is_found(
    make_checkpoint: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph whose attention does not see the mask fails parity, though it is right without padding."""
    from quantkit.graph import model as graph_model

    def save_unmasked(model: ir.Model, path: Path, *, external: bool | None = None) -> None:
        ones = ir.node("Equal", [model.graph.inputs[1], model.graph.inputs[1]])
        cast = ir.node("Cast", ones.outputs, {"to": ir.DataType.INT64})
        first = next(iter(model.graph))
        model.graph.inputs[1].replace_all_uses_with(cast.outputs[0])
        ones.replace_input_with(0, model.graph.inputs[1])
        ones.replace_input_with(1, model.graph.inputs[1])
        model.graph.insert_before(first, (ones, cast))
        graph_model.save_model(model, path, external=external)

    monkeypatch.setattr("quantkit.stages.export.save_model", save_unmasked)
    checkpoint = str(make_checkpoint("bert", "squad").folder)
    with pytest.raises(ExportError, match="differs from PyTorch"):
        export(checkpoint, tmp_path / "out", task="squad", settings=ExportSettings())


def test_without_torch_one_line_says_what_to_install(
    make_checkpoint: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without torch the error names the extra."""
    checkpoint = str(make_checkpoint("bert", "squad").folder)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r'needs torch.*pip install "quantkit\[export\]"'):
        export(checkpoint, tmp_path / "out", task="squad", settings=ExportSettings())
    assert not (tmp_path / "out").exists()


def test_importing_the_stage_and_the_digest_needs_no_torch() -> None:
    """The stage, the checkpoint's checks and its digest import neither torch nor transformers."""
    code = (
        "import sys, quantkit.stages.export, quantkit.checkpoint, quantkit.architectures;"
        "print({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_export_says_nothing_by_itself(
    make_checkpoint: Callable, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No line and no bar of torch or transformers reaches the terminal, and torch's threads stay."""
    import torch

    threads = torch.get_num_threads()
    checkpoint = str(make_checkpoint("distilbert", "squad").folder)
    # transformers shows a bar while it writes the checkpoint.
    capfd.readouterr()
    export(checkpoint, tmp_path / "out", task="squad", settings=ExportSettings())
    assert capfd.readouterr() == ("", "")
    assert torch.get_num_threads() == threads


def test_the_digest_is_of_the_files_that_count(make_checkpoint: Callable, tmp_path: Path) -> None:
    """Weights, config and tokenizer change the digest; other files and the folder's name do not."""
    source = make_checkpoint("bert", "squad").folder
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    (folder / "README.md").write_text("hello")
    assert checkpoint_digest(str(folder)) == checkpoint_digest(str(source))
    with (folder / "vocab.txt").open("a") as stream:
        stream.write("\n")
    assert checkpoint_digest(str(folder)) != checkpoint_digest(str(source))


def test_opset_is_as_asked(make_checkpoint: Callable, tmp_path: Path) -> None:
    """The lowest opset that is offered exports with parity as well."""
    checkpoint = str(make_checkpoint("bert", "squad").folder)
    artifact = export(checkpoint, tmp_path / "out", task="squad", settings=ExportSettings(opset=14))
    model = onnx.load(artifact.model_path)
    assert [entry.version for entry in model.opset_import] == [14]


@pytest.mark.real
def test_the_real_checkpoint_exports_with_parity(shared: Path, tmp_path: Path) -> None:
    """The trained MiniLM becomes a graph within 1e-4 of PyTorch, with 37 named linear layers."""
    pytest.importorskip("transformers")
    artifact = export(
        os.path.relpath(shared / "models" / "minilm-l6-squad"),
        tmp_path / "out",
        task="squad",
        settings=ExportSettings(),
    )
    record = artifact.manifest.stage("export")
    assert record is not None
    assert max(record.facts["parity"]["max_abs_diff"].values()) < 1e-4
    assert record.facts["parameters"] == 22_566_146
    model = load_model(artifact.model_path)
    counts = Counter(node.op_type for node in model.graph)
    assert (counts["LayerNormalization"], counts["Erf"], counts["Softmax"]) == (13, 6, 6)
    assert len(linear_layers(model.graph)) == 6 * 6 + 1
