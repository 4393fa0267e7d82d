"""Candidates as checkpoints: every teacher's weights under DeciBERT's names, and what transformers makes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from family_checkpoints import write_checkpoint  # noqa: E402 - needs torch
from letters import WORDS  # noqa: E402

from quantkit.checkpoint import Checkpoint, read_checkpoint  # noqa: E402
from quantkit.checkpoint.decibert import DeciBertConfig  # noqa: E402
from quantkit.checkpoint.ids import compare_ids  # noqa: E402
from quantkit.checkpoint.tensors import Weights  # noqa: E402
from quantkit.shapes.blocks import Block  # noqa: E402
from quantkit.shapes.materialise import materialise, student  # noqa: E402
from quantkit.shapes.order import Narrowed  # noqa: E402

COMMON = {"vocab_size": len(WORDS), "hidden_size": 32, "max_position_embeddings": 48, "num_labels": 2}
ALIKE = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
CONFIGS: dict[str, Any] = {
    "bert": lambda: transformers.BertConfig(**COMMON, **ALIKE),
    "roberta": lambda: transformers.RobertaConfig(**COMMON, **ALIKE, type_vocab_size=1, pad_token_id=1),
    "xlm-roberta": lambda: transformers.XLMRobertaConfig(
        **COMMON, **ALIKE, type_vocab_size=1, pad_token_id=1
    ),
    "camembert": lambda: transformers.CamembertConfig(**COMMON, **ALIKE, type_vocab_size=1, pad_token_id=1),
    "decibert": lambda: DeciBertConfig(
        **COMMON,
        attention_head_size=8,
        num_hidden_layers=2,
        heads_per_layer=[4, 2],
        feed_forward_per_layer=[64, 32],
    ),
}
HEADS = {
    "squad": "QuestionAnswering",
    "text-classification": "SequenceClassification",
    "token-classification": "TokenClassification",
}


def saved(folder: Path, family: str, task: str) -> tuple[Any, Checkpoint, list[Block]]:
    """Return a random teacher, as torch has it and as a checkpoint, and its blocks."""
    folder.mkdir()
    torch.manual_seed(3)
    model = getattr(transformers, f"AutoModelFor{HEADS[task]}").from_config(CONFIGS[family]()).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    checkpoint = read_checkpoint(str(folder), task=task)
    blocks = [
        Block(
            layer=number,
            kind=kind,  # type: ignore[arg-type]
            path=f"{checkpoint.architecture.encoder}.encoder.layer.{number}",
            units=units,
            size=size,
            hidden=32,
        )
        for number, layer in enumerate(checkpoint.shape.layers)
        for kind, units, size in (("attention", layer.heads, 8), ("feed_forward", layer.feed_forward, 1))
    ]
    return model, checkpoint, blocks


def loaded(folder: Path, task: str) -> Any:
    """Return what transformers loads, which must use every weight and miss none."""
    kind = getattr(transformers, f"AutoModelFor{HEADS[task]}")
    model, said = kind.from_pretrained(folder, output_loading_info=True)
    assert not said["missing_keys"]
    assert not said["unexpected_keys"]
    return model.eval()


def logits(model: Any) -> list[Any]:
    ids = torch.randint(5, len(WORDS), (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return [value for name, value in found.items() if name.endswith("logits")]


@pytest.mark.parametrize("task", HEADS)
@pytest.mark.parametrize("family", CONFIGS)
def test_with_all_units_it_is_the_teacher(tmp_path: Path, family: str, task: str) -> None:
    """RoBERTa's classifier too, whose layers have other names: logits are the same bit by bit."""
    teacher, checkpoint, blocks = saved(tmp_path / "teacher", family, task)
    (tmp_path / "whole").mkdir()
    materialise(checkpoint, blocks, {}, tmp_path / "whole")
    for mine, theirs in zip(logits(loaded(tmp_path / "whole", task)), logits(teacher), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_narrowed_one_is_what_its_parts_say(tmp_path: Path, family: str) -> None:
    """Rows of the first layers, the solved projection, its bias alone where a block is missing; and the record."""
    _, checkpoint, blocks = saved(tmp_path / "teacher", family, "squad")
    heads, missing = blocks[0], blocks[3]
    random = np.random.default_rng(0)
    part = Narrowed(
        units=np.array([1, 3]), matrix=random.normal(size=(16, 32)), bias=random.normal(size=32), error=0.1
    )
    none = Narrowed(units=np.zeros(0, np.int64), matrix=np.zeros((0, 32)), bias=np.ones(32), error=1.0)
    (tmp_path / "small").mkdir()
    parts = {heads: part, missing: none}
    materialise(checkpoint, blocks, parts, tmp_path / "small")
    weights = loaded(tmp_path / "small", "squad").state_dict()
    theirs = Weights(checkpoint.weights)
    layer = "decibert.encoder.layer.0.attention"
    kept = [*range(8, 16), *range(24, 32)]
    query = theirs[f"{heads.path}.attention.self.query.weight"]
    assert np.array_equal(weights[f"{layer}.self.query.weight"].numpy(), query[kept])
    assert np.array_equal(weights[f"{layer}.output.dense.weight"].numpy(), part.matrix.T.astype(np.float32))
    assert weights["decibert.encoder.layer.1.output.dense.bias"].tolist() == [1.0] * 32
    assert "decibert.encoder.layer.1.output.dense.weight" not in weights
    record = student(checkpoint, blocks, parts)
    assert (record.layers[0].heads, record.layers[1].neurons) == ((1, 3), ())
    assert read_checkpoint(str(tmp_path / "small"), task="squad").shape.layers[0].heads == 2


@pytest.mark.parametrize("family", ["xlm-roberta", "camembert"])
def test_a_unigram_tokenizer_goes_along(tmp_path: Path, family: str) -> None:
    """The student of a family with a tokenizer of another kind than RoBERTa's reads texts as its teacher does."""
    teacher = write_checkpoint(tmp_path / "teacher", family, "text-classification")
    checkpoint = read_checkpoint(str(teacher), task="text-classification")
    blocks = [
        Block(
            layer=number,
            kind=kind,  # type: ignore[arg-type]
            path=f"roberta.encoder.layer.{number}",
            units=units,
            size=size,
            hidden=32,
        )
        for number, layer in enumerate(checkpoint.shape.layers)
        for kind, units, size in (("attention", layer.heads, 8), ("feed_forward", layer.feed_forward, 1))
    ]
    (tmp_path / "small").mkdir()
    materialise(checkpoint, blocks, {}, tmp_path / "small")
    small = read_checkpoint(str(tmp_path / "small"), task="text-classification")
    mine, theirs = (compare_ids(one.folder, token_types=False) for one in (small, checkpoint))
    assert mine == theirs
    assert mine.written is None
