"""Heads that the score does not fit are told by config.json, and where it is silent by the weight and the logits."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_models import TEXTS, save_tiny, tiny_graph

from quantkit.cli.main import main
from quantkit.tasks import task
from quantkit.tasks.heads import unfit_head

SINGLE, MULTI, NUMBER, RANKED = (
    "text-classification",
    "multi-label-classification",
    "text-regression",
    "reranking",
)


@pytest.mark.parametrize(
    ("config", "fits", "said"),
    [
        ({}, {SINGLE, MULTI, NUMBER, RANKED}, ""),
        ({"problem_type": None, "num_labels": 3}, {SINGLE, MULTI}, "it has 3 labels, and"),
        ({"problem_type": "single_label_classification", "id2label": {"0": "a", "1": "b"}}, {SINGLE}, SINGLE),
        ({"id2label": {}}, {SINGLE, MULTI, NUMBER, RANKED}, ""),
        ({"num_labels": True}, {SINGLE, MULTI, NUMBER, RANKED}, ""),
        ({"problem_type": "multi_label_classification"}, {MULTI}, f"take --task {MULTI}"),
        ({"problem_type": "multi_label_classification", "num_labels": 1}, {MULTI}, MULTI),
        ({"problem_type": "regression"}, {NUMBER, RANKED}, f"take --task {NUMBER} or {RANKED}"),
        ({"problem_type": "regression", "num_labels": 3}, set(), "no task scores several numbers"),
        ({"problem_type": "ranking"}, set(), "no head that transformers knows"),
        ({"problem_type": ["regression"]}, set(), "no text"),
        ({"num_labels": 1}, {NUMBER, RANKED}, "it has one label"),
        ({"id2label": {"0": "LABEL_0"}}, {NUMBER, RANKED}, f"take --task {NUMBER} or {RANKED}"),
    ],
)
def test_what_config_says(config: dict[str, Any], fits: set[str], said: str) -> None:
    """A head is taken by the tasks that it is for, and the others name those; other classes are not asked."""
    found = {name: unfit_head(config, task(name)) for name in (SINGLE, MULTI, NUMBER, RANKED)}
    assert {name for name, reason in found.items() if reason is None} == fits
    assert all(said in reason for reason in found.values() if reason is not None)
    assert unfit_head(config, task("squad")) is None


def test_one_logit_chooses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph of one logit whose config.json is silent is refused when it is scored, not called right every time."""
    monkeypatch.chdir(tmp_path)
    save_tiny(Path("silent"), model=tiny_graph("text-classification", labels=1))
    Path("texts.jsonl").write_text(TEXTS)
    result = CliRunner().invoke(main, ["evaluate", "silent", "--data", "texts.jsonl"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "error: the model gives one number for 1, and no label can be chosen by it; "
        "give a model that chooses between labels\n"
    )


def test_one_row_of_weights(tmp_path: Path) -> None:
    """A checkpoint whose head has one row is refused at export, though its config.json does not say so."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file, save_file

    from quantkit.checkpoint import read_checkpoint
    from quantkit.errors import CheckpointError

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
    config = transformers.BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    assert read_checkpoint(str(tmp_path), task="text-classification").vocab_size == 7
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        {
            **weights,
            "classifier.weight": weights["classifier.weight"][:1].clone(),
            "classifier.bias": torch.ones(1),
        },
        tmp_path / "model.safetensors",
    )
    with pytest.raises(
        CheckpointError,
        match=r"it has one label.*take --task text-regression or reranking",
    ):
        read_checkpoint(str(tmp_path), task="text-classification")
