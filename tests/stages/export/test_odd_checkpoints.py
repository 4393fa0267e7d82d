"""Checkpoints as training scripts leave them, which transformers runs: exported, and what is left out is said."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.artifact import Artifact
from quantkit.recipe.settings import ExportSettings
from quantkit.stages.export import export

TYPES = "bert.embeddings.token_type_embeddings.weight"
VOCABULARY = 85  # tokens of the tiny WordPiece
WORDS = "bert.embeddings.word_embeddings.weight"


def changed(
    source: Path, folder: Path, weights: Callable[[dict[str, np.ndarray]], object], **config: Any
) -> str:
    """Copy a checkpoint with other weights and other values in config.json."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(source, folder)
    table = load_file(folder / "model.safetensors")
    weights(table)
    save_file(table, folder / "model.safetensors", {"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return str(folder)


@pytest.fixture
def exported(
    make_checkpoint: Callable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Callable[..., tuple[Artifact, list[str]]]:
    """Return a function that changes the tiny BERT, exports it, and returns the artifact and what was said."""

    def run(
        weights: Callable[[dict[str, np.ndarray]], object] = lambda table: None, **config: Any
    ) -> tuple[Artifact, list[str]]:
        checkpoint = changed(
            make_checkpoint("bert", "squad").folder, tmp_path / "checkpoint", weights, **config
        )
        with caplog.at_level(logging.WARNING):
            made = export(checkpoint, tmp_path / "out", task="squad", settings=ExportSettings())
        said = [record.getMessage() for record in caplog.records if record.name.startswith("quantkit")]
        return made, [line.replace(f"{checkpoint}: ", "") for line in said]

    return run


@pytest.mark.parametrize(
    "config",
    [{"return_dict": False}, {"chunk_size_feed_forward": 2}, {"output_hidden_states": True}],
    ids=lambda config: next(iter(config)),
)
def test_what_a_training_script_left_changes_nothing(
    exported: Callable[..., tuple[Artifact, list[str]]], export_plain: Callable, config: dict[str, Any]
) -> None:
    """The graph is the plain one's, byte for byte."""
    made, said = exported(**config)
    assert made.model_path.read_bytes() == export_plain("bert", "squad").model_path.read_bytes()
    assert said == []


def test_a_model_with_one_token_type(exported: Callable[..., tuple[Artifact, list[str]]]) -> None:
    """Its second texts have type 0, and parity is shown without type 1."""

    def one(table: dict[str, np.ndarray]) -> None:
        table[TYPES] = np.ascontiguousarray(table[TYPES][:1])

    made, said = exported(one, type_vocab_size=1)
    record = made.manifest.stage("export")
    assert record is not None
    assert max(record.facts["parity"]["max_abs_diff"].values()) <= record.facts["parity"]["atol"]
    assert said == []


def test_weights_without_a_place_are_named(exported: Callable[..., tuple[Artifact, list[str]]]) -> None:
    """A head of the user's own is left out by transformers: the line says so."""
    made, said = exported(lambda table: table.update({"my_head.weight": np.ones((2, 2), np.float32)}))
    record = made.manifest.stage("export")
    assert record is not None
    assert record.facts["unused_weights"] == ["my_head.weight"]
    assert said == [
        "1 weights have no place in the model for squad and are left out (my_head); if it was trained with them, it "
        "computes something else"
    ]


def test_a_table_much_longer_than_the_vocabulary_is_exported_and_told(
    exported: Callable[..., tuple[Artifact, list[str]]],
) -> None:
    """Published models have it; a wrong tokenizer looks the same, so it is said."""

    def longer(table: dict[str, np.ndarray]) -> None:
        table[WORDS] = np.concatenate([table[WORDS], np.ones((200, table[WORDS].shape[1]), np.float32)])

    made, said = exported(longer, vocab_size=VOCABULARY + 200)
    assert made.manifest.precision == "fp32"
    assert said == [
        "200 rows of the word embedding belong to no token; check that the tokenizer is the model's own"
    ]


def test_the_ids_were_compared(exported: Callable[..., tuple[Artifact, list[str]]]) -> None:
    """The record says with which class of transformers, over how many rows, and whether a file was written anew."""
    made, _ = exported()
    record = made.manifest.stage("export")
    assert record is not None
    facts = record.facts["ids"]
    assert (facts["class"], facts["rewritten"], facts["texts"] > 200) == ("BertTokenizer", False, True)
