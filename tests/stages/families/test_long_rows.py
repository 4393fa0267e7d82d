"""Rows longer than 512 tokens: a ModernBERT of 8,192 positions from its checkpoint to INT8 answers."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from family_checkpoints import write_checkpoint

from quantkit.artifact import Artifact, StageRecord
from quantkit.metrics.embeddings import cosine
from quantkit.recipe.settings import EvaluateSettings, ExportSettings, FuseSettings, QuantizeSettings
from quantkit.stages.evaluate import evaluate
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse
from quantkit.stages.quantize import quantize
from quantkit.tasks import task
from quantkit.tasks.prepared import Reader

pytestmark = pytest.mark.filterwarnings("ignore")
Line = Callable[[str, str], tuple[Artifact, Artifact]]
POSITIONS, TASK = 8192, "text-classification"
WORDS = ["who", "wrote", "the", "long", "letter", "on", "a", "cold", "day", "said", "the", "agent"]


def texts(path: Path, tokens: int) -> Path:
    """Write rows of almost so many tokens; the first two differ in their last word alone."""
    random = np.random.default_rng(0)
    long = [" ".join(random.choice(WORDS, int(0.62 * tokens))) for _ in range(3)]
    rows = [long[0] + " letter", long[0] + " agent", *long[1:]]
    path.write_text(
        "".join(json.dumps({"text": text, "label": at % 2}) + "\n" for at, text in enumerate(rows))
    )
    return path


def answers(artifact: Artifact, data: Path) -> list[np.ndarray]:
    """Return the logits of each row, and check that none of it is left out."""
    prepared = Reader.of(artifact).prepare(task(TASK).read(data, "texts"))
    assert prepared.truncated == 0
    session = onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"])
    return [
        session.run(
            None,
            {
                "input_ids": row.input_ids[None],
                "attention_mask": np.ones_like(row.input_ids)[None],
            },
        )[0][0]
        for row in prepared.rows
    ]


def check(fp32: Artifact, data: Path, out: Path, grid: str, length: int) -> list[np.ndarray]:
    """Calibrate, quantize and evaluate on long rows, and return the float logits."""
    rows = Reader.of(fp32).prepare(task(TASK).read(data, "texts")).lengths
    assert length * 3 // 4 < min(rows) <= max(rows) <= length
    settings = QuantizeSettings(mode="static", plain=True, calib=str(data), weight_type=grid)
    int8 = quantize(fp32, out, settings=settings)
    assert int8.manifest.lengths == {"max_length": length}
    found, rounded = answers(fp32, data), answers(int8, data)
    assert not np.array_equal(found[0], found[1])  # the last word of a row counts
    assert min(map(cosine, rounded, found)) > 0.9  # two random logits; a row that is cut has others
    for artifact in (fp32, int8):
        evaluation = evaluate(artifact, settings=EvaluateSettings(data=str(data)), cached=False)
        assert (evaluation.questions, evaluation.truncated) == (4, 0)
        assert evaluation.settings["features"]["max_length"] == length
    return found


def test_rows_beyond_512_are_read_whole(line: Line, tmp_path: Path, exact_grid: str) -> None:
    """A model of 8,192 positions reads, is calibrated on and answers rows as long as its manifest says."""
    _, fused = line("modernbert", TASK)
    record = StageRecord(stage="export", key="0" * 64, facts={"lengths": {"max_length": 640}})
    stages = (*fused.manifest.stages, record)
    fp32 = dataclasses.replace(fused, manifest=fused.manifest.model_copy(update={"stages": stages}))
    check(fp32, texts(tmp_path / "texts.jsonl", 640), tmp_path / "int8", exact_grid, 640)


@pytest.mark.slow
def test_as_many_tokens_as_there_are_positions(tmp_path: Path, exact_grid: str) -> None:
    """From the checkpoint: PyTorch's logits for rows of almost 8,192 tokens, of layers global and local."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = write_checkpoint(tmp_path / "checkpoint", "modernbert", TASK, num_hidden_layers=2)
    data = texts(tmp_path / "texts.jsonl", POSITIONS)
    plain = export(str(folder), tmp_path / "plain", task=TASK, settings=ExportSettings(max_length=POSITIONS))
    fp32 = fuse(plain, tmp_path / "fp32", settings=FuseSettings())
    found = check(fp32, data, tmp_path / "int8", exact_grid, POSITIONS)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    rows = Reader.of(fp32).prepare(task(TASK).read(data, "texts")).rows
    with torch.inference_mode():
        wanted = [model(input_ids=torch.from_numpy(row.input_ids)[None]).logits[0].numpy() for row in rows]
    # Sums over thousands of tokens in another order.
    np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0)
