"""A tiny teacher that is exported and fused, what is asked of its search, and prices that no machine decides."""

from pathlib import Path
from typing import Any

import pytest
from distillation.conftest import make_checkpoint
from letters import MakeCheckpoint, write_questions

from quantkit.artifact import Artifact
from quantkit.recipe.quantize_settings import QuantizeSettings
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes import quantized

__all__ = ["make_checkpoint"]


@pytest.fixture(scope="module")
def teacher(make_checkpoint: MakeCheckpoint, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    pytest.importorskip("torch", reason="the teacher is exported")
    pytest.importorskip("scipy", reason="the search needs its solver")
    from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
    from quantkit.recipe.settings import ExportSettings, FuseSettings

    asked = ExportRequest(
        checkpoint=str(make_checkpoint()), task="squad", export=ExportSettings(), fuse=FuseSettings()
    )
    return export_and_fuse(asked, tmp_path_factory.mktemp("teacher") / "fp32")


@pytest.fixture
def settings(tmp_path: Path) -> SearchSettings:
    questions = write_questions(tmp_path / "questions.json", 30)
    gate = write_questions(tmp_path / "gate.json", 6, first=100)
    return SearchSettings(
        data=str(questions),
        gate_data=str(gate),
        min_throughput="1.2",
        data_questions=12,
        damage_questions=6,
        select_questions=6,
        step=32,
        candidates=1,
    )


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every model of the search plain: smoothing and GPTQ have tests of their own."""
    for quality in ("_QUICK", "_GOOD"):
        monkeypatch.setattr(quantized, quality, QuantizeSettings(plain=True))


def cost(snippet: Any) -> float:
    """Return a cost that grows with the weights: of this machine's speed nothing is known."""
    graph = snippet.build().graph
    return 1.0 + sum(value.const_value.size for value in graph.initializers.values()) / 1000


def ratios(snippets: Any, **_: Any) -> list[list[float]]:
    """Return by these costs how many times as fast as the first each of the others is, in three rounds."""
    first, *others = map(cost, snippets)
    return [[first / (share * one) for share in (0.5, 1.0, 4.0)] for one in others]
