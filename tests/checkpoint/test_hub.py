"""Checkpoints from the Hugging Face Hub: what is fetched, and what is said when it cannot be."""

import sys
from pathlib import Path
from typing import Any

import pytest

from quantkit.checkpoint.files import find_checkpoint
from quantkit.errors import CheckpointError, UsageError

huggingface_hub = pytest.importorskip("huggingface_hub")


def failing(error: Exception) -> Any:
    def snapshot_download(*args: object, **kwargs: object) -> str:
        raise error

    return snapshot_download


def test_only_weights_config_and_tokenizer_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pickle, no subfolder and no other format is downloaded, at the revision that was asked for."""
    asked: dict[str, Any] = {}

    def snapshot_download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert find_checkpoint("someone/model", revision="v1") == tmp_path
    assert (asked["name"], asked["revision"]) == ("someone/model", "v1")
    wanted = {
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "config.json",
        "vocab.txt",
        "merges.txt",
    }
    others = {"pytorch_model.bin", "onnx/model.onnx", "onnx/config.json", "tf_model.h5", "README.md"}
    kept = huggingface_hub.utils.filter_repo_objects(
        wanted | others, allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
    )
    assert set(kept) == wanted
    find_checkpoint("someone/model", allow_pickle=True)
    assert "pytorch_model*.bin" in asked["allow_patterns"]


def test_the_modules_of_sentence_transformers_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is a modules.json, the settings of the modules come too, and nothing else of subfolders."""
    asked: list[dict[str, Any]] = []

    def snapshot_download(_: str, **options: Any) -> str:
        asked.append(options)
        (tmp_path / "modules.json").write_text("[]")
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert find_checkpoint("someone/model", revision="v1") == tmp_path
    assert asked[1]["revision"] == "v1"
    there = {"1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "onnx/config.json"}
    kept = huggingface_hub.utils.filter_repo_objects(there, allow_patterns=asked[1]["allow_patterns"])
    assert set(kept) == {"1_Pooling/config.json", "2_Dense/config.json"}


def test_a_lost_connection_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, the line says that the name is neither a folder nor reachable."""
    error = huggingface_hub.errors.LocalEntryNotFoundError("Cannot find it\nand not the hub either")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(error))
    with pytest.raises(
        CheckpointError, match="no such folder here, and the Hugging Face Hub cannot be"
    ) as caught:
        find_checkpoint("someone/model")
    assert "\n" not in str(caught.value)


def test_offline_mode_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HF_HUB_OFFLINE set and nothing in the cache nothing is waited for."""
    error = huggingface_hub.errors.OfflineModeIsEnabled("offline mode is enabled")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(error))
    with pytest.raises(CheckpointError, match="offline mode is enabled"):
        find_checkpoint("someone/model")


def test_a_name_the_hub_does_not_know_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """An id with two dots in a row is no checkpoint anywhere."""
    error = huggingface_hub.errors.HFValidationError("bad")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(error))
    with pytest.raises(CheckpointError, match="neither a folder here nor a checkpoint"):
        find_checkpoint("someone/mo..del")


def test_without_the_hub_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without huggingface_hub the error says what to install."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"quantkit\[hub\]"):
        find_checkpoint("someone/model")


@pytest.mark.parametrize("name", ["/nowhere", "../nowhere", "a/b/c", "some one/model"])
def test_paths_are_not_asked_of_the_hub(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What cannot be an id is reported as a missing folder, without a connection."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(AssertionError("asked the hub")))
    with pytest.raises(CheckpointError, match="no such folder; give"):
        find_checkpoint(name)
