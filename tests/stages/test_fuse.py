"""The fuse stage: what it writes, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import quantkit.stages.fuse as stage
from quantkit.artifact import Artifact, StageRecord, new_artifact
from quantkit.errors import ArtifactError, FusionError, OutputError, UsageError
from quantkit.graph.model import load_model, save_model
from quantkit.recipe.settings import FuseSettings
from quantkit.tasks.data_places import DataPlaces

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.filterwarnings("ignore")

COUNTS = {"MultiHeadAttention": 2, "SkipLayerNormalization": 4, "BiasGelu": 2, "EmbedLayerNormalization": 1}
EXPORTED = StageRecord(stage="export", key="k", settings={"opset": 17}, facts={"layers": 2})


def write(
    folder: Path,
    model: ir.Model,
    config: dict[str, Any],
    *,
    external: bool = False,
    stages: tuple[StageRecord, ...] = (EXPORTED,),
) -> Artifact:
    """Make an artifact as export does."""
    with new_artifact(folder, force=True) as draft:
        save_model(model, draft.model_path, external=external)
        (draft.path / "config.json").write_text(json.dumps(config))
        (draft.path / "vocab.txt").write_text("[PAD]\n[UNK]\n")
        draft.record(task="squad", architecture="bert", precision="fp32", stages=stages, parent=None)
    return Artifact.open(folder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return the artifact of a tiny random BERT, exported and not fused."""
    from quantkit.tracing import Signature, trace_model

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    model = transformers.AutoModelForQuestionAnswering.from_config(config, attn_implementation="eager").eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    signature = Signature(
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        outputs=("start_logits", "end_logits"),
        per_token=True,
    )
    graph = trace_model(model, signature, opset=17, max_positions=40)
    return write(tmp_path_factory.mktemp("bert") / "exported", graph, config.to_dict())


@pytest.fixture
def copy(exported: Artifact, tmp_path: Path) -> Path:
    """Return the folder of a copy that a test may spoil."""
    return Path(shutil.copytree(exported.path, tmp_path / "copy"))


def test_writes_a_fused_artifact(exported: Artifact, tmp_path: Path) -> None:
    """Counts, parity, records of both stages, the parent's digest and the companions are all there."""
    fused = stage.fuse(exported, tmp_path / "fused", settings=FuseSettings())
    record = fused.manifest.stage("fuse")
    assert record is not None
    assert record.facts["fused"] == COUNTS
    assert record.facts["expected"] == COUNTS
    assert record.facts["missed"] == []
    assert record.facts["warnings"] == []
    assert record.facts["parity"]["worst"] < 1e-5
    assert record.key == stage.ingredients(exported, FuseSettings(), DataPlaces()).key("fuse")
    assert record.settings == FuseSettings().as_json()
    assert [entry.stage for entry in fused.manifest.stages] == ["export", "fuse"]
    assert fused.manifest.parent == exported.digest
    assert (fused.task, fused.manifest.architecture, fused.manifest.precision) == ("squad", "bert", "fp32")
    assert (fused.path / "vocab.txt").read_bytes() == (exported.path / "vocab.txt").read_bytes()


def test_keeps_versions_and_adds_the_import(exported: Artifact, tmp_path: Path) -> None:
    """IR version and ONNX opset stay; com.microsoft is imported; no weight is left unused."""
    before = onnx.load(exported.model_path)
    after = onnx.load(stage.fuse(exported, tmp_path / "fused", settings=FuseSettings()).model_path)
    assert after.ir_version == before.ir_version
    assert {entry.domain: entry.version for entry in after.opset_import} == {"": 17, "com.microsoft": 1}
    read = {name for node in after.graph.node for name in node.input}
    assert {entry.name for entry in after.graph.initializer} <= read
    assert [entry.name for entry in after.graph.output] == ["start_logits", "end_logits"]


def test_same_input_same_bytes(exported: Artifact, tmp_path: Path) -> None:
    """Fusing twice gives the same digest."""
    first = stage.fuse(exported, tmp_path / "a", settings=FuseSettings())
    second = stage.fuse(exported, tmp_path / "b", settings=FuseSettings())
    assert first.digest == second.digest


def test_keeps_external_data(exported: Artifact, tmp_path: Path) -> None:
    """A model with its weights beside it is fused into one with its weights beside it."""
    source = write(tmp_path / "external", load_model(exported.model_path), exported.config, external=True)
    assert "model.onnx.data" in source.manifest.files
    fused = stage.fuse(source, tmp_path / "fused", settings=FuseSettings())
    assert "model.onnx.data" in fused.manifest.files
    assert fused.manifest.stage("fuse").facts["fused"] == COUNTS


def test_embed_layer_norm_can_be_left_out(exported: Artifact, tmp_path: Path) -> None:
    """Without it the embeddings stay as they are, and are not expected to fuse."""
    fused = stage.fuse(exported, tmp_path / "fused", settings=FuseSettings(embed_layer_norm=False))
    facts = fused.manifest.stage("fuse").facts
    assert facts["fused"] == {**COUNTS, "EmbedLayerNormalization": 0}
    assert facts["expected"] == {**COUNTS, "EmbedLayerNormalization": 0}


def spoil_second_attention(folder: Path, config: dict[str, Any]) -> Artifact:
    """Make the probabilities of the second layer an input of somebody else."""
    model = load_model(folder / "model.onnx")
    softmax = [node for node in model.graph if node.op_type == "Softmax"][1]
    reader = softmax.outputs[0].consumers()[0]
    doubled = ir.node("Mul", [softmax.outputs[0], softmax.outputs[0]], name="squared")
    doubled.outputs[0].name = "squared"
    model.graph.insert_after(softmax, doubled)
    reader.replace_input_with(0, doubled.outputs[0])
    return write(folder.parent / "spoiled", model, config)


def test_a_missing_fusion_names_pass_layer_and_node(exported: Artifact, copy: Path, tmp_path: Path) -> None:
    """The error says which pass, which layer, at which node and why, and writes nothing."""
    spoiled = spoil_second_attention(copy, exported.config)
    with pytest.raises(FusionError) as caught:
        stage.fuse(spoiled, tmp_path / "fused", settings=FuseSettings())
    message = str(caught.value)
    assert message.startswith(
        "MultiHeadAttention: 1 of 2; bert.encoder.layer.1.attention.self: stopped at node "
    )
    assert "where a MatMul is expected" in message
    assert message.endswith("use --allow-partial-fusion to accept")
    assert not (tmp_path / "fused").exists()


def test_allow_partial_records_a_warning(exported: Artifact, copy: Path, tmp_path: Path) -> None:
    """With allow_partial the breach is a recorded warning, and the rest is fused and computes the same."""
    spoiled = spoil_second_attention(copy, exported.config)
    fused = stage.fuse(spoiled, tmp_path / "fused", settings=FuseSettings(allow_partial=True))
    facts = fused.manifest.stage("fuse").facts
    assert facts["fused"] == {**COUNTS, "MultiHeadAttention": 1}
    assert facts["expected"] == COUNTS
    (warning,) = facts["warnings"]
    assert warning.startswith("MultiHeadAttention: 1 of 2; bert.encoder.layer.1.attention.self: stopped at")
    assert len(facts["missed"]) == 1


def test_a_config_of_another_depth(exported: Artifact, tmp_path: Path) -> None:
    """A config that promises more layers than the graph has is a breach of the contract."""
    config = {**exported.config, "num_hidden_layers": 3}
    other = write(tmp_path / "deeper", load_model(exported.model_path), config)
    with pytest.raises(FusionError, match=r"MultiHeadAttention: 2 of 3; nothing in the graph looks like it"):
        stage.fuse(other, tmp_path / "fused", settings=FuseSettings())


def test_refuses_what_is_fused(exported: Artifact, tmp_path: Path) -> None:
    """A fused artifact is not fused again, whether its record or its graph shows it."""
    fused = stage.fuse(exported, tmp_path / "fused", settings=FuseSettings())
    with pytest.raises(ArtifactError, match="is fused already"):
        stage.fuse(fused, tmp_path / "again", settings=FuseSettings())
    relabelled = write(tmp_path / "relabelled", load_model(fused.model_path), exported.config)
    with pytest.raises(ArtifactError, match="is fused already"):
        stage.fuse(relabelled, tmp_path / "again", settings=FuseSettings())


def test_refuses_what_is_quantized(exported: Artifact, tmp_path: Path) -> None:
    """An artifact that went through quantize is refused."""
    stages = (EXPORTED, StageRecord(stage="quantize"))
    quantized = write(tmp_path / "int8", load_model(exported.model_path), exported.config, stages=stages)
    with pytest.raises(ArtifactError, match="is quantized already"):
        stage.fuse(quantized, tmp_path / "fused", settings=FuseSettings())


def test_refuses_to_do_nothing(exported: Artifact, tmp_path: Path) -> None:
    """Settings that switch fusion off are a mistake here, not a silent copy."""
    with pytest.raises(UsageError, match="enabled is false"):
        stage.fuse(exported, tmp_path / "fused", settings=FuseSettings(enabled=False))


def test_refuses_a_folder_in_use(exported: Artifact, tmp_path: Path) -> None:
    """A folder that is not empty is left alone without force, and replaced with it."""
    out = tmp_path / "fused"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        stage.fuse(exported, out, settings=FuseSettings())
    assert (out / "notes.txt").read_text() == "mine"
    stage.fuse(exported, out, settings=FuseSettings(), force=True)
    assert not (out / "notes.txt").exists()


def test_weights_that_are_not_numbers(exported: Artifact, tmp_path: Path) -> None:
    """NaN logits are an error that names the model."""
    model = load_model(exported.model_path)
    weight = model.graph.initializers["qa_outputs.bias"]
    weight.const_value = ir.Tensor(np.array([np.nan, 0], np.float32), name=weight.name)
    broken = write(tmp_path / "nan", model, exported.config)
    with pytest.raises(FusionError, match="start_logits is NaN or infinite"):
        stage.fuse(broken, tmp_path / "fused", settings=FuseSettings())
    assert not (tmp_path / "fused").exists()


def test_a_wrong_fusion_is_caught(
    exported: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a fused graph computes something else, the stage fails and writes nothing."""

    def fuse_wrongly(model: ir.Model, *, embed_layer_norm: bool) -> Any:
        results = original(model, embed_layer_norm=embed_layer_norm)
        attention = next(node for node in model.graph if node.op_type == "MultiHeadAttention")
        attention.attributes["scale"] = ir.AttrFloat32("scale", 2.0)
        return results

    original = stage.fuse_graph
    monkeypatch.setattr(stage, "fuse_graph", fuse_wrongly)
    with pytest.raises(FusionError, match="of the fused graph is off by"):
        stage.fuse(exported, tmp_path / "fused", settings=FuseSettings())
    assert not (tmp_path / "fused").exists()
