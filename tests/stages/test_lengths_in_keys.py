"""Lengths are in the manifest, which an artifact's digest does not cover: every key says them, and so every cache."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact, StageRecord
from quantkit.graph.model import load_model
from quantkit.quantization.observe import Detail, observe_model
from quantkit.quantization.observe import observations as observations_module
from quantkit.recipe.settings import BenchSettings, EvaluateSettings, FuseSettings, QuantizeSettings
from quantkit.stages.bench import ingredients as bench_ingredients
from quantkit.stages.evaluate import evaluate
from quantkit.stages.evaluate import ingredients as evaluate_ingredients
from quantkit.stages.fuse import ingredients as fuse_ingredients
from quantkit.stages.quantize.ingredients import ingredients as quantize_ingredients
from quantkit.tasks.calibration_set import select
from quantkit.tasks.data_places import DataPlaces

Make = Callable[..., Artifact]
USUAL: dict[str, Any] = {"lengths": {"max_length": 48, "doc_stride": 16, "max_query_length": 16}}
CHANGES: dict[str, dict[str, Any]] = {
    "max_length": {"lengths": {**USUAL["lengths"], "max_length": 40}},
    "doc_stride": {"lengths": {**USUAL["lengths"], "doc_stride": 8}},
    "max_answer_length": {"lengths": {**USUAL["lengths"], "max_answer_length": 2}},
    "null threshold": {**USUAL, "null_score_diff_threshold": 1.5},
}


def saying(artifact: Artifact, facts: dict[str, Any]) -> Artifact:
    """Return the same bytes, whose manifest says other lengths: the digest is the same."""
    records = (*artifact.manifest.stages, StageRecord(stage="export", key="0" * 64, facts=facts))
    other = dataclasses.replace(artifact, manifest=artifact.manifest.model_copy(update={"stages": records}))
    assert other.digest == artifact.digest
    return other


def _evaluate(artifact: Artifact, data: str) -> str:
    return evaluate_ingredients(artifact, EvaluateSettings(data=data), DataPlaces()).key("evaluate")


def _quantize(artifact: Artifact, data: str) -> str:
    settings = QuantizeSettings(mode="static", calib=data)
    return quantize_ingredients(artifact, settings, DataPlaces()).key("quantize")


def _fuse(artifact: Artifact, data: str) -> str:
    del data
    return fuse_ingredients(artifact, FuseSettings(), DataPlaces()).key("fuse")


def _bench(artifact: Artifact, data: str) -> str:
    return bench_ingredients([artifact], BenchSettings(data=data), DataPlaces()).key("bench")


def _observed(artifact: Artifact, data: str) -> str:
    """Return the key of what calibration saw, in which those of sensitivity, mode auto and search have theirs."""
    chosen = select(data, artifact.task)
    return observe_model(artifact, load_model(artifact.model_path), chosen, detail=Detail.MOMENTS).key


KEYS = {
    "evaluate": _evaluate,
    "quantize": _quantize,
    "fuse": _fuse,
    "bench": _bench,
    "observations": _observed,
}


@pytest.mark.parametrize("changed", CHANGES)
@pytest.mark.parametrize("command", KEYS)
def test_a_changed_length_has_another_key(
    make_encoder_artifact: Make,
    span_questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    changed: str,
) -> None:
    """The artifact's digest and the data are the same; nothing that was made with other lengths is taken for it."""
    monkeypatch.setattr(observations_module, "observe", lambda *args, **options: {})
    artifact, data, key = make_encoder_artifact(), str(span_questions), KEYS[command]
    before = key(saying(artifact, USUAL), data)
    assert key(saying(artifact, USUAL), data) == before
    assert key(saying(artifact, CHANGES[changed]), data) != before


def test_a_changed_length_is_evaluated_anew(make_span_artifact: Make, span_questions: Path) -> None:
    """The cache has the evaluation of these bytes with short windows, and does not give it for long ones."""
    artifact, settings = make_span_artifact(), EvaluateSettings(data=str(span_questions))
    short = {"lengths": {"max_length": 16, "doc_stride": 3, "max_query_length": 8}}
    cut = evaluate(saying(artifact, short), settings=settings)
    whole = evaluate(saying(artifact, USUAL), settings=settings)
    assert cut.features > whole.features == 6
    assert whole.settings["features"]["max_length"] == 48
    assert evaluate(saying(artifact, short), settings=settings).key == cut.key != whole.key
