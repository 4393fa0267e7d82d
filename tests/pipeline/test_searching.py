"""What a search refuses before it reads anything."""

import errno
import os
from pathlib import Path

import pytest

from quantkit.errors import OutputError, UsageError
from quantkit.pipeline import searching
from quantkit.pipeline.fusing import ExportRequest
from quantkit.pipeline.searching import search_checkpoint
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shipped import quickstart_model
from quantkit.stages.search import SAME


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "nothing is asked of the smaller model"),
        ({"min_throughput": "2x", "ray_address": "host:1"}, "is for --engine ray, and the engine is threads"),
    ],
    ids=["nothing asked", "an address for threads"],
)
def test_refused_at_once(tmp_path: Path, asked: dict[str, str], says: str) -> None:
    """The mistake is said before the checkpoint is looked for, and nothing is made."""
    with pytest.raises(UsageError, match=says):
        search_checkpoint("nowhere", tmp_path / "out", task="squad", settings=SearchSettings(**asked))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_compared_as_closely_as_the_search_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candidate whose logits are of 20 differs from PyTorch by more than export's own 0.0001 by rounding alone."""
    asked: list[ExportRequest] = []
    monkeypatch.setattr(searching, "export_and_fuse", lambda request, out: asked.append(request))
    monkeypatch.setattr(
        searching, "search", lambda checkpoint, out, *, export, **rest: export(checkpoint.folder, tmp_path)
    )
    search_checkpoint(
        str(quickstart_model()), tmp_path / "out", task="squad", settings=SearchSettings(min_throughput="2x")
    )
    assert [one.export.atol for one in asked] == [SAME] == [0.001]


def test_rows_that_are_timed_fit_the_model(tmp_path: Path) -> None:
    """Told at once, not when prices are measured; the quickstart's model has 512 positions."""
    settings = SearchSettings(min_throughput="2x", tokens=513)
    with pytest.raises(UsageError, match="--tokens 513: the model takes rows of 512 tokens at most"):
        search_checkpoint(str(quickstart_model()), tmp_path / "out", task="squad", settings=settings)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The temporary folder beside the output cannot be made: one line, as for other commands."""

    def refuse(path: Path) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    monkeypatch.setattr(searching, "partial_folder", refuse)
    with pytest.raises(OutputError, match="out: cannot be written"):
        search_checkpoint(
            str(quickstart_model()),
            tmp_path / "out",
            task="squad",
            settings=SearchSettings(min_throughput="2x"),
        )
