"""Stages on a Ray cluster of two nodes make what they make here, to the last byte."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from token_rows import Row

from quantkit.artifact import Artifact
from quantkit.errors import EvaluationError, UsageError
from quantkit.files import sha256_file
from quantkit.graph.linear import linear_layers
from quantkit.quantization.observe import cache
from quantkit.quantization.observe.calibration import calibrate, observe
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.quantization.observe.statistics import Detail
from quantkit.recipe.settings import BenchSettings, EvaluateSettings, QuantizeSettings
from quantkit.runtime.where import Where
from quantkit.stages.bench import bench
from quantkit.stages.evaluate import evaluate
from quantkit.stages.quantize import quantize

pytest.importorskip("ray", reason="needs the extra [ray]")
pytestmark = pytest.mark.xdist_group("ray")

Make = Callable[..., Artifact]


def test_evaluate(
    address: str, make_span_artifact: Make, span_questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every answer and score is that of this machine, and the cache knows them as the same."""
    artifact = make_span_artifact()
    asked = {"data": str(span_questions), "token_budget": 64}
    here = evaluate(artifact, settings=EvaluateSettings.model_validate(asked))
    monkeypatch.setenv("RAY_ADDRESS", address)
    on_ray = EvaluateSettings.model_validate({**asked, "engine": "ray"})
    there = evaluate(artifact, settings=on_ray, refresh=True)
    assert (there.key, there.f1, there.predictions_sha256) == (here.key, here.f1, here.predictions_sha256)
    assert there.scores == here.scores
    with pytest.raises(UsageError, match="is for --engine ray, and the engine is threads"):
        evaluate(artifact, settings=EvaluateSettings.model_validate({**asked, "ray_address": address}))


def test_bench(address: str, make_span_artifact: Make, span_questions: Path) -> None:
    """Artifacts that are open at once take turns on the cores of the cluster."""
    settings = BenchSettings(
        data=str(span_questions), engine="ray", ray_address=address, questions=6, repeats=2, max_repeats=2
    )
    artifacts = [make_span_artifact("a"), make_span_artifact("b", seed=1)]
    report = bench(artifacts, settings=settings)
    assert [len(result.rates) for result in report.results] == [2, 2]
    assert {
        (result.profile["engine"], result.profile["instances"], result.profile["threads"])
        for result in report.results
    } == {("ray", 2, 1)}


@pytest.mark.parametrize(
    "how",
    [
        {"calib_method": "minmax"},
        {"calib_method": "percentile", "smooth_quant": "off"},
    ],
    ids=lambda how: how["calib_method"],
)
def test_quantize(
    how: dict[str, Any],
    address: str,
    make_encoder_artifact: Make,
    span_questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is calibrated on a cluster is the same file, and says nothing about where it was calibrated."""
    artifact, set_up = make_encoder_artifact(), {"calib": str(span_questions), "calib_questions": 6, **how}
    made = []
    for name, where in (("here", {}), ("there", {"engine": "ray", "ray_address": address})):
        # A cache of its own: what was seen here must not answer.
        monkeypatch.setattr(cache, "cache_folder", lambda name=name: tmp_path / f"cache-{name}")
        settings = QuantizeSettings.model_validate({**set_up, **where})
        made.append(quantize(artifact, tmp_path / name, settings=settings))
    here, there = (sha256_file(artifact.model_path) for artifact in made)
    assert here == there
    settings_here, settings_there = (artifact.manifest.stages[-1].settings for artifact in made)
    assert settings_here == settings_there


@pytest.mark.parametrize("detail", list(Detail))
def test_statistics(
    detail: Detail, address: str, make_encoder_artifact: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Sums, samples and moments are the same to the last bit, whatever of them travels; NaN is named as here."""
    artifact = make_encoder_artifact()
    random = np.random.default_rng(5)
    rows = [Row(random.integers(1, 30, size, np.int64)) for size in random.integers(2, 20, 12)]
    found = []
    for engine in ("threads", "ray"):
        monkeypatch.setattr(cache, "cache_folder", lambda engine=engine: tmp_path / engine)
        model = ir.load(artifact.model_path)
        tensors = list(
            {layer.activation.name: layer.activation for layer in linear_layers(model.graph)}.values()
        )
        where = Where(engine=engine, address=address if engine == "ray" else None)
        job = CalibrationJob(rows=rows, pad_id=0, where=where)
        found.append(observe(model, tensors, job, key="statistics", detail=detail))
    here, there = found
    assert list(here) == list(there)
    for name, seen in here.items():
        for what in ("low", "high", "mean", "square", "tokens", "moment", "sample"):
            one, other = np.asarray(getattr(seen, what)), np.asarray(getattr(there[name], what))
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def test_nan_is_named(address: str, make_encoder_artifact: Make) -> None:
    """A row whose activations are NaN is named, by its tensor, though only numbers about it travel."""
    artifact = make_encoder_artifact(nan="bert.embeddings.position_embeddings.weight")
    model = ir.load(artifact.model_path)
    tensors = [layer.activation for layer in linear_layers(model.graph)][:1]
    job = CalibrationJob(rows=[Row(np.arange(1, 9))], pad_id=0, where=Where(engine="ray", address=address))
    with pytest.raises(EvaluationError, match="holds NaN or Infinity for calibration row 0"):
        observe(model, tensors, job, key="nan", detail=Detail.CHANNELS)
    with pytest.raises(EvaluationError, match="holds NaN or Infinity for calibration row 0"):
        calibrate(model, tensors, job, key="nan")


def test_only_calibration(make_encoder_artifact: Make, tmp_path: Path) -> None:
    """Modes that calibrate nothing on a cluster refuse the engine."""
    artifact = make_encoder_artifact()
    for changes in ({"mode": "dynamic"}, {"mode": "auto", "calib": "quickstart"}):
        settings = QuantizeSettings.model_validate({**changes, "engine": "ray"})
        with pytest.raises(UsageError, match="--engine ray: is for calibration"):
            quantize(artifact, tmp_path / "out", settings=settings)
