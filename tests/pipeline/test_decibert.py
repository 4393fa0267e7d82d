"""The whole line on an encoder whose layers differ, made of the quickstart's model without any training."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.graph.mask_free import write_mask_free
from quantkit.quickstart.train import MODEL
from quantkit.records import Inspection
from quantkit.stages.inspect import inspect

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

HEADS, WIDTHS = [4, 3, 0, 2], [512, 320, 448, 0]
EMBEDDING = 112  # of 128
RECIPE = """
name: unlike
checkpoint: unlike
task: squad
quantize: {{mode: {mode}, {more}weight_type: {weights}}}
evaluate: {{data: callcentre}}
# Without training some answers are lost already; that is FP32's score.
gate: {{min_ratio: 0.98}}
publish: {{registry: registry, name: unlike, version: 1.0.0}}
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DeciBERT with the first heads and neurons of the quickstart's model, and its words factorised."""
    from quantkit.checkpoint.decibert import DeciBertConfig
    from quantkit.checkpoint.decibert_heads import DeciBertForQuestionAnswering

    teacher = transformers.AutoModelForQuestionAnswering.from_pretrained(MODEL)
    shared = ("vocab_size", "hidden_size", "max_position_embeddings", "layer_norm_eps", "pad_token_id")
    config = DeciBertConfig(
        **{key: getattr(teacher.config, key) for key in shared},
        attention_head_size=32,
        heads_per_layer=HEADS,
        feed_forward_per_layer=WIDTHS,
        embedding_size=EMBEDDING,
    )
    student = DeciBertForQuestionAnswering(config)
    weights = {name.replace("bert.", "decibert.", 1): weight for name, weight in teacher.state_dict().items()}
    left, size, right = torch.linalg.svd(
        weights.pop("decibert.embeddings.word_embeddings.weight"), full_matrices=False
    )
    found = {
        name: weights[name][tuple(slice(0, count) for count in wanted.shape)]
        for name, wanted in student.state_dict().items()
        if name in weights
    }
    found["decibert.embeddings.word_embeddings.weight"] = left[:, :EMBEDDING] * size[:EMBEDDING]
    found["decibert.embeddings.projection.weight"] = right[:EMBEDDING].T
    student.load_state_dict(found)
    folder = tmp_path_factory.mktemp("unlike") / "unlike"
    student.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copyfile(MODEL / name, folder / name)
    return folder


@pytest.fixture
def run(
    checkpoint: Path, tmp_path: Path, exact_grid: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict]:
    """Return a function that runs the line in a mode and returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def line(mode: str, more: str = "") -> dict:
        recipe = RECIPE.format(mode=mode, more=more, weights=exact_grid)
        Path("unlike.yaml").write_text(recipe)
        made = CliRunner().invoke(
            main, ["run", "unlike.yaml", "--work", "work", "--checkpoint", str(checkpoint), "--json"]
        )
        assert made.exit_code == 0, made.stderr
        return json.loads(made.stdout)

    return line


@pytest.mark.filterwarnings("ignore")
def test_the_line_takes_layers_that_differ(run: Callable[..., dict], tmp_path: Path) -> None:
    """Exported, fused as promised, in integers but for outlier channels, evaluated, gated, published, inspected."""
    assert run("static", "calib: callcentre, ")["verdict"] == "pass"
    fused, made = Artifact.open("work/02-fused"), Artifact.open("work/03-int8")
    facts = fused.manifest.stage("fuse").facts
    assert facts["fused"] == facts["expected"]
    assert facts["fused"]["MultiHeadAttention"] == facts["fused"]["BiasGelu"] == 3
    assert facts["fused"]["EmbedLayerNormalization"] == 0
    inspection = inspect(made)
    assert inspection.int8_coverage > 0.999
    assert [(layer.heads, layer.feed_forward) for layer in inspection.encoder] == list(
        zip(HEADS, WIDTHS, strict=True)
    )
    widths = {layer.name: layer.shape for layer in inspection.layers}
    assert widths["decibert.embeddings.projection"] == (EMBEDDING, 128)
    assert widths["decibert.encoder.layer.1.attention.output.dense"] == (96, 128)
    table = CliRunner().invoke(main, ["inspect", "work/03-int8"]).stdout
    assert "4 layers that differ" in table
    assert [line.split() for line in table.splitlines() if line.split()[:1] == ["2"]] == [["2", "-", "448"]]
    assert Inspection.read(made.report_path("inspection.json")) == inspection
    assert write_mask_free(made.model_path, tmp_path / "equal").is_file()
