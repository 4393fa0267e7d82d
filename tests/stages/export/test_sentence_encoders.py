"""Embedding models of every family: the graph holds the pooling, and padding changes no embedding."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from quantkit.artifact import Artifact
from quantkit.errors import CheckpointError
from quantkit.recipe.settings import ExportSettings, FuseSettings
from quantkit.stages.export import export
from quantkit.stages.fuse import fuse

FAMILIES = ("bert", "roberta", "distilbert", "decibert", "electra", "mobilebert")
TASK = "sentence-similarity"


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request: pytest.FixtureRequest, make_checkpoint: Callable, tmp_path_factory) -> Path:
    """Return a tiny encoder without a head, as `AutoModel.save_pretrained` leaves it."""
    transformers = pytest.importorskip("transformers")
    source = make_checkpoint(request.param, "squad").folder
    folder: Path = tmp_path_factory.mktemp(f"encoder-{request.param}") / "encoder"
    shutil.copytree(source, folder)
    transformers.AutoModel.from_pretrained(source).save_pretrained(folder)
    return folder


def rows(artifact: Artifact, padded: int) -> dict[str, np.ndarray]:
    """Return two rows of 5 tokens, with `padded` more behind each."""
    random = np.random.default_rng(0)
    padding = artifact.config["pad_token_id"]
    ids = np.pad(random.integers(5, 60, (2, 5)), ((0, 0), (0, padded)), constant_values=padding)
    mask = np.pad(np.ones((2, 5), np.int64), ((0, 0), (0, padded)))
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    session = onnxruntime.InferenceSession(artifact.model_path)
    return {entry.name: feeds[entry.name] for entry in session.get_inputs()}


def embeddings(artifact: Artifact, padded: int = 0) -> np.ndarray:
    session = onnxruntime.InferenceSession(artifact.model_path)
    (found,) = session.run(["sentence_embedding"], rows(artifact, padded))
    return np.asarray(found)


def test_the_graph_pools_as_transformers_and_numpy_do(encoder: Path, tmp_path: Path) -> None:
    """The embedding is the mean, or the first, of the encoder's tokens, of length 1, fused or not, padded or not."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    pooling = "cls" if encoder.parent.name.startswith("encoder-electra") else "mean"
    plain = export(str(encoder), tmp_path / "plain", task=TASK, settings=ExportSettings(pooling=pooling))
    fused = fuse(plain, tmp_path / "fused", settings=FuseSettings())
    record = fused.manifest.stage("fuse")
    assert record is not None
    assert record.facts["warnings"] == []
    model = transformers.AutoModel.from_pretrained(encoder).eval()
    with torch.no_grad():
        feeds = {name: torch.from_numpy(value) for name, value in rows(plain, 0).items()}
        tokens = model(**feeds).last_hidden_state.numpy()
    wanted = tokens.mean(1) if pooling == "mean" else tokens[:, 0]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    for artifact in (plain, fused):
        np.testing.assert_allclose(embeddings(artifact), wanted, atol=1e-5, rtol=0)
        np.testing.assert_allclose(embeddings(artifact, padded=7), wanted, atol=1e-5, rtol=0)


def test_no_pooling_is_guessed(encoder: Path, tmp_path: Path) -> None:
    """An encoder whose folder does not say how its tokens are pooled is refused."""
    with pytest.raises(CheckpointError, match=r"say --pooling mean or --pooling cls"):
        export(str(encoder), tmp_path / "out", task=TASK, settings=ExportSettings())
    assert not (tmp_path / "out").exists()


def test_a_pooler_may_be_missing(make_checkpoint: Callable, tmp_path: Path) -> None:
    """Nothing reads BERT's pooler, and embedding models are often saved without it."""
    from safetensors.numpy import load_file, save_file

    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "encoder"
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder)
    transformers.AutoModel.from_pretrained(folder).save_pretrained(folder)
    kept = {
        name: value for name, value in load_file(folder / "model.safetensors").items() if "pooler" not in name
    }
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    out = export(str(folder), tmp_path / "out", task=TASK, settings=ExportSettings(pooling="mean"))
    assert embeddings(out).shape == (2, 32)


def test_what_sentence_transformers_reads_is_read(make_checkpoint: Callable, tmp_path: Path) -> None:
    """Without normalization in modules.json lengths are as they are; max_seq_length travels with the artifact."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "encoder"
    shutil.copytree(make_checkpoint("bert", "squad").folder, folder)
    transformers.AutoModel.from_pretrained(folder).save_pretrained(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": n, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12, "do_lower_case": false}')
    out = export(str(folder), tmp_path / "out", task=TASK, settings=ExportSettings())
    record = out.manifest.stage("export")
    assert record is not None
    assert (record.facts["pooling"], record.facts["normalize"]) == ("mean", False)
    assert out.manifest.lengths == {"max_length": 12}
    assert np.linalg.norm(embeddings(out), axis=1).min() > 1.5
