"""What a sentence-transformers folder says, and what of it is refused by name."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from quantkit.checkpoint.sentence_files import Pooling, read_pooling, require_plain_texts
from quantkit.errors import CheckpointError
from quantkit.tasks.tokenizer import Tokenizer

UNASKED = cast(Tokenizer, None)  # nothing is read with it


def write(
    folder: Path, kinds: list[str], pooling: dict[str, Any], prompts: dict[str, Any] | None = None
) -> Path:
    """Write modules.json and what belongs to it."""
    paths = ["" if number == 0 else f"{number}_{kind}" for number, kind in enumerate(kinds)]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    for path, kind in zip(paths, kinds, strict=True):
        if kind == "Pooling":
            (folder / path).mkdir()
            (folder / path / "config.json").write_text(json.dumps(pooling))
    if prompts is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


@pytest.mark.parametrize(
    ("kinds", "config", "found"),
    [
        (
            ["Transformer", "Pooling"],
            {"pooling_mode_mean_tokens": True},
            Pooling(mode="mean", normalize=False),
        ),
        (
            ["Transformer", "Pooling", "Normalize"],
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
            Pooling(mode="cls", normalize=True),
        ),
        (["Transformer", "Pooling"], {"pooling_mode": "cls"}, Pooling(mode="cls", normalize=False)),
        (["Transformer", "Pooling"], {"pooling_mode": ["mean"]}, Pooling(mode="mean", normalize=False)),
    ],
)
def test_pooling_is_read(kinds: list[str], config: dict[str, Any], found: Pooling, tmp_path: Path) -> None:
    """Old files have a key for each way of pooling, new ones name it."""
    assert read_pooling(write(tmp_path, kinds, config), "auto") == found


@pytest.mark.parametrize(
    ("kinds", "config", "reason"),
    [
        (
            ["Transformer", "Pooling", "Dense"],
            {"pooling_mode_mean_tokens": True},
            "a module Dense, which is not",
        ),
        (
            ["Transformer", "Pooling"],
            {"pooling_mode_max_tokens": True},
            "pools by max, which is not supported",
        ),
        (
            ["Transformer", "Pooling"],
            {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
            "pools by cls and mean, which is not supported",
        ),
        (["Transformer"], {}, "lists Transformer; supported are"),
        (["Transformer", "Pooling"], {}, "pools by nothing"),
    ],
)
def test_refused_by_name(kinds: list[str], config: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """What would be computed otherwise is named."""
    with pytest.raises(CheckpointError, match=reason):
        read_pooling(write(tmp_path, kinds, config), "auto")


def test_another_pooling_than_the_folders_is_refused(tmp_path: Path) -> None:
    """The model was trained with its own."""
    folder = write(tmp_path, ["Transformer", "Pooling"], {"pooling_mode_mean_tokens": True})
    with pytest.raises(CheckpointError, match="pools by mean, not by cls"):
        read_pooling(folder, "cls")


def test_a_prompt_before_every_text_is_refused(tmp_path: Path) -> None:
    """Texts would be read without it."""
    folder = write(
        tmp_path,
        ["Transformer", "Pooling"],
        {"pooling_mode_mean_tokens": True},
        {"prompts": {"query": "query: "}, "default_prompt_name": "query"},
    )
    with pytest.raises(CheckpointError, match="puts the prompt 'query' before every text"):
        require_plain_texts(folder, UNASKED)


@pytest.mark.parametrize("length", [0, "12", True])
def test_a_longest_text_that_is_none_is_refused(length: object, tmp_path: Path) -> None:
    """How long texts are is not guessed."""
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length}))
    with pytest.raises(CheckpointError, match="must be a whole number of 1 or more"):
        require_plain_texts(tmp_path, UNASKED)


def test_a_folder_with_nothing_to_say(tmp_path: Path) -> None:
    """A plain encoder is pooled as the user says, and normalized."""
    assert read_pooling(tmp_path, "cls") == Pooling(mode="cls", normalize=True)
