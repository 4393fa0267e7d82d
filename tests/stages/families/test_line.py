"""Each family through the line: PyTorch's numbers, transformers' ids, exact fusions, integer products."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from family_checkpoints import CONFIGS, HEADS, LAYERS, write_checkpoint
from onnx import TensorProto

from quantkit.artifact import Artifact
from quantkit.errors import CheckpointError
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import load_model, save_model
from quantkit.quantization.observe import Statistics
from quantkit.quantization.treatments.shift import channel_shifts, shift_channels
from quantkit.quantization.write import open_embed_layer_norm
from quantkit.recipe.settings import ExportSettings, FuseSettings, QuantizeSettings
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse
from quantkit.stages.inspect import inspect
from quantkit.stages.quantize import quantize
from quantkit.tasks.tokenizer import Tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")

Line = Callable[[str, str], tuple[Artifact, Artifact]]
BERT = {
    "MultiHeadAttention": LAYERS,
    "SkipLayerNormalization": 2 * LAYERS,
    "BiasGelu": LAYERS,
    "EmbedLayerNormalization": 1,
}
# Four layers of two kinds, whose activation is GELU's tanh form.
ALBERT = {
    "MultiHeadAttention": 4,
    "SkipLayerNormalization": 8,
    "FastGelu": 4,
    "EmbedLayerNormalization": 1,
}
# Three layers, and the head's own GELU.
MODERNBERT = {"MultiHeadAttention": 3, "RotaryEmbedding": 6, "SkipLayerNormalization": 6, "Gelu": 4}
NOMIC = {
    "MultiHeadAttention": LAYERS,
    "RotaryEmbedding": 2 * LAYERS,
    "SkipLayerNormalization": 2 * LAYERS,
    "EmbedLayerNormalization": 1,
}
# Its attention stays written out.
DEBERTA = {"SkipLayerNormalization": 2 * LAYERS, "BiasGelu": LAYERS}
FUSED: dict[str, dict[str, int]] = {
    "deberta-v2": DEBERTA,
    "nomic_bert": NOMIC,
    "modernbert": MODERNBERT,
    "albert": ALBERT,
    "camembert": BERT,
    "mpnet": BERT,
    "xlm-roberta": BERT,
}
# Tensors whose channels can be shifted (what has a bias before it and biases behind it): as exported, and fused.
SHIFTED = {
    "albert": (13, 13),
    "camembert": (7, 7),
    "deberta-v2": (4, 4),
    "modernbert": (1, 1),
    "mpnet": (5, 7),
    "nomic_bert": (0, 0),
    "xlm-roberta": (7, 7),
}
TEXTS = "".join(
    f'{{"id": "{at}", "text": "ann wrote it on a cold day, said agent {at}.", "label": "LABEL_{at % 2}"}}\n'
    for at in range(8)
)
EVERY = [(family, task) for family in CONFIGS for task in HEADS if family != "nomic_bert" or task != "squad"]
ONE = dict(reversed(EVERY))  # a task that each family has


def facts(artifact: Artifact, stage: str) -> dict[str, Any]:
    record = artifact.manifest.stage(stage)
    assert record is not None
    return dict(record.facts)


def logits(artifact: Artifact, path: Path | None = None) -> np.ndarray:
    """Return what a model, or another of its kind, gives for texts like those it is calibrated on."""
    tokenizer = Tokenizer.load(artifact.path)
    session = onnxruntime.InferenceSession(path or artifact.model_path, providers=["CPUExecutionProvider"])
    found = []
    for text in (
        "Ann wrote the long letter on Monday.",
        "ann wrote it on a cold day",
        "The price was 42 euros",
    ):
        ids, types = tokenizer.row(tokenizer.encode_ids([text])[0])
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": types}
        taken = {entry.name: feeds[entry.name][None] for entry in session.get_inputs()}
        found += [output.ravel() for output in session.run(None, taken)]
    return np.concatenate(found)


@pytest.mark.parametrize(("family", "task"), EVERY)
def test_pytorch_gives_the_same_for_every_mask_and_shape(line: Line, family: str, task: str) -> None:
    """Four shapes, one of 512 tokens, with four masks each; nothing of the checkpoint is left out."""
    exported, _ = line(family, task)
    found = facts(exported, "export")
    differences = found["parity"]["max_abs_diff"]
    assert len(differences) == 16
    assert "1x512 left-padded" in differences
    assert max(differences.values()) < 1e-5
    assert found["unused_weights"] == []


@pytest.mark.parametrize("family", CONFIGS)
def test_ids_are_those_of_transformers(line: Line, family: str) -> None:
    """The checkpoint's tokenizer.json says what AutoTokenizer reads, so it is taken as it is."""
    exported, _ = line(family, ONE[family])
    assert facts(exported, "export")["ids"]["rewritten"] is False


@pytest.mark.parametrize(("family", "task"), EVERY)
def test_exactly_what_is_promised_fuses(line: Line, family: str, task: str) -> None:
    """As many of each operator as the structure allows, which is what the contract demands."""
    _, fused = line(family, task)
    found = facts(fused, "fuse")
    wanted = dict(FUSED[family])
    if (family, task) == ("deberta-v2", "text-classification"):
        wanted["BiasGelu"] += 1  # its pooler's
    assert {name: count for name, count in found["fused"].items() if count} == wanted
    assert found["expected"] == found["fused"]


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(("family", "task"), EVERY)
def test_every_linear_layer_runs_as_int8(
    line: Line, span_questions: Path, tmp_path: Path, exact_grid: str, mode: str, family: str, task: str
) -> None:
    """Both ways of quantizing execute all of them in integers, and logits stay near float's."""
    _, fused = line(family, task)
    # Techniques that fit a few texts closely do harm to others where weights are random.
    content: dict[str, Any] = {"mode": mode, "weight_type": exact_grid, "plain": mode == "static"}
    if mode == "static":
        texts = tmp_path / "texts.jsonl"
        texts.write_text(TEXTS, encoding="utf-8")
        content["calib"] = str(span_questions if task == "squad" else texts)
    made = quantize(
        fused, tmp_path / "int8", settings=QuantizeSettings.model_validate(content), data_dir=None
    )
    assert facts(made, "quantize")["int8_coverage"] == 1.0
    assert inspect(made).int8_coverage == 1.0
    exact = logits(fused)
    assert float(np.abs(logits(made) - exact).max()) < 0.3 * float(np.ptp(exact))


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("family", CONFIGS)
def test_shifted_channels(line: Line, tmp_path: Path, family: str, fused: bool) -> None:
    """Shifted by anything, every family computes what it did, fused or not."""
    source = line(family, ONE[family])[fused]
    model = load_model(source.model_path)
    open_embed_layer_norm(model)
    random = np.random.default_rng(0)
    seen = {}
    for layer in linear_layers(model.graph):
        low, high = np.sort(random.normal(size=(2, layer.shape[0])), axis=0).astype(np.float32)
        zero, one = np.zeros(layer.shape[0]), np.ones(layer.shape[0])
        seen[layer.activation.name or ""] = Statistics(low=low, high=high, mean=zero, square=one, tokens=1)
    shifts = channel_shifts(model, seen)
    assert len(shifts) == SHIFTED[family][fused]
    shift_channels(model, shifts)
    save_model(model, tmp_path / "shifted.onnx")
    expected = logits(source)
    np.testing.assert_allclose(
        logits(source, tmp_path / "shifted.onnx"), expected, rtol=0, atol=1e-4 * np.ptp(expected)
    )


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_a_weight_that_layers_share_is_stored_once(
    line: Line, span_questions: Path, tmp_path: Path, exact_grid: str, mode: str
) -> None:
    """ALBERT's four layers of two kinds have twelve weights, as float and as INT8, though 24 products read them."""
    _, fused = line("albert", "squad")
    content = {"mode": mode, "weight_type": exact_grid}
    content |= {"calib": str(span_questions)} if mode == "static" else {}
    made = quantize(
        fused, tmp_path / "int8", settings=QuantizeSettings.model_validate(content), data_dir=None
    )
    for artifact, kind in ((fused, TensorProto.FLOAT), (made, exact_type(exact_grid))):
        graph = onnx.load(artifact.model_path).graph
        stored = [
            entry
            for entry in graph.initializer
            if entry.data_type == kind and len(entry.dims) == 2 and "albert_layers" in entry.name
        ]
        assert len(stored) == 12
        readers = [node.name for node in graph.node for name in node.input if name == stored[0].name]
        assert len(readers) == 2
        assert len(set(readers)) == 2


def test_the_uses_of_a_shared_weight_have_names_and_ranges_of_their_own(
    line: Line, span_questions: Path, tmp_path: Path, exact_grid: str
) -> None:
    """A pattern names all uses by the module's end, or one of them; each use has a range."""
    _, fused = line("albert", "squad")
    content = {
        "mode": "static",
        "weight_type": exact_grid,
        "calib": str(span_questions),
        "keep_float": [{"pattern": "*.use.1.*.ffn"}],
    }
    made = quantize(
        fused, tmp_path / "int8", settings=QuantizeSettings.model_validate(content), data_dir=None
    )
    assert facts(made, "quantize")["kept_float"] == [
        f"albert.encoder.albert_layer_groups.{group}.use.1.albert_layers.0.ffn" for group in (0, 1)
    ]
    ranges = json.loads((made.path / "calibration.json").read_text(encoding="utf-8"))["ranges"]
    queries = [ranges[name] for name in ranges if name.endswith("attention.query")]
    assert len(queries) == 4
    assert len({json.dumps(entry) for entry in queries}) == 4


def exact_type(grid: str) -> int:
    return int(TensorProto.UINT8 if grid == "uint8" else TensorProto.INT8)


def test_a_task_that_a_family_has_no_head_for_is_one_line(tmp_path: Path) -> None:
    """What transformers cannot load is refused by name, whatever the folder holds."""
    folder = write_checkpoint(tmp_path / "checkpoint", "nomic_bert", "text-classification")
    with pytest.raises(
        CheckpointError, match="no model of the family nomic_bert for squad; it has them for text-c"
    ):
        export(str(folder), tmp_path / "out", task="squad", settings=ExportSettings())


def test_a_window_wider_than_short_rows_is_no_padding_mask(tmp_path: Path) -> None:
    """ModernBERT's own window of 64 to either side hides nothing in rows of 33: it is kept all the same."""
    folder = write_checkpoint(tmp_path / "checkpoint", "modernbert", "squad", local_attention=128)
    exported = export(str(folder), tmp_path / "exported", task="squad", settings=ExportSettings())
    fused = fuse(exported, tmp_path / "fused", settings=FuseSettings())
    attentions = [
        node for node in onnx.load(fused.model_path).graph.node if node.op_type == "MultiHeadAttention"
    ]
    # The first layer of three attends to everything: its mask is the padding's.
    assert [len(node.input) for node in attentions] == [5, 6, 6]
    ids = np.arange(300)[None] % 50 + 2
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    found, exact = (
        onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"]).run(None, feeds)
        for artifact in (fused, exported)
    )
    np.testing.assert_allclose(found[0], exact[0], rtol=0, atol=1e-4 * np.ptp(exact[0]))
