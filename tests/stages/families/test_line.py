"""Each family through the line: PyTorch's numbers, transformers' ids, exact fusions, integer products."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from family_checkpoints import CONFIGS, HEADS, LAYERS

from quantkit.artifact import Artifact
from quantkit.graph.parity import TokenRanges, cases
from quantkit.recipe.settings import QuantizeSettings
from quantkit.stages.inspect import inspect
from quantkit.stages.quantize import quantize

pytestmark = pytest.mark.filterwarnings("ignore")

Line = Callable[[str, str], tuple[Artifact, Artifact]]
BERT = {
    "MultiHeadAttention": LAYERS,
    "SkipLayerNormalization": 2 * LAYERS,
    "BiasGelu": LAYERS,
    "EmbedLayerNormalization": 1,
}
FUSED: dict[str, dict[str, int]] = {
    "camembert": BERT,
    "xlm-roberta": BERT,
}
TEXTS = "".join(
    f'{{"id": "{at}", "text": "ann wrote it on a cold day, said agent {at}.", "label": "LABEL_{at % 2}"}}\n'
    for at in range(8)
)
EVERY = [(family, task) for family in CONFIGS for task in HEADS]


def facts(artifact: Artifact, stage: str) -> dict[str, Any]:
    record = artifact.manifest.stage(stage)
    assert record is not None
    return dict(record.facts)


def logits(artifact: Artifact) -> np.ndarray:
    """Return what a model gives for one right-padded batch, where tokens are."""
    (case,) = [
        case for case in cases(TokenRanges.from_config(artifact.config), [(8, 20)]) if "right" in case.mask
    ]
    session = onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"])
    found = session.run(None, {entry.name: case.feeds[entry.name] for entry in session.get_inputs()})
    per_token = artifact.task == "squad"
    return np.concatenate([case.seen(output, per_token=per_token).ravel() for output in found])


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
    exported, _ = line(family, "squad")
    assert facts(exported, "export")["ids"]["rewritten"] is False


@pytest.mark.parametrize(("family", "task"), EVERY)
def test_exactly_what_is_promised_fuses(line: Line, family: str, task: str) -> None:
    """As many of each operator as the structure allows, which is what the contract demands."""
    _, fused = line(family, task)
    found = facts(fused, "fuse")
    assert {name: count for name, count in found["fused"].items() if count} == FUSED[family]
    assert found["expected"] == found["fused"]


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(("family", "task"), EVERY)
def test_every_linear_layer_runs_as_int8(
    line: Line, span_questions: Path, tmp_path: Path, exact_grid: str, mode: str, family: str, task: str
) -> None:
    """Both ways of quantizing execute all of them in integers, and logits stay near float's."""
    _, fused = line(family, task)
    content: dict[str, Any] = {"mode": mode, "weight_type": exact_grid}
    if mode == "static":
        texts = tmp_path / "texts.jsonl"
        texts.write_text(TEXTS, encoding="utf-8")
        content["calib"] = str(span_questions if task == "squad" else texts)
    made = quantize(
        fused, tmp_path / "int8", settings=QuantizeSettings.model_validate(content), data_dir=None
    )
    assert facts(made, "quantize")["int8_coverage"] == 1.0
    assert inspect(made).int8_coverage == 1.0
    # Random rows are beyond the ranges of a few texts.
    near = {"dynamic": 0.98, "static": 0.7}[mode]
    assert float(np.corrcoef(logits(made), logits(fused))[0, 1]) > near
