"""inspect counts what is in an artifact and reports what a run executed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.artifact import Artifact
from quantkit.errors import EvaluationError
from quantkit.recipe.settings import QuantizeSettings
from quantkit.stages.inspect import inspect
from quantkit.stages.quantize import quantize

pytestmark = pytest.mark.avx2

Make = Callable[..., Artifact]
LAYER = "bert.encoder.layer.0"
# Multiply-accumulates a token: four of 64 x 64, two of 64 x 128, the head of 64 x 2.
MACS = 4 * 64 * 64 + 2 * 64 * 128 + 64 * 2


def int8(
    source: Artifact, out: Path, *keep: str, mode: str = "dynamic", calib: str | None = None
) -> Artifact:
    """Quantize all but what is kept."""
    content: dict[str, Any] = {"mode": mode, "calib": calib, "calib_questions": 6}
    content["outlier_channels"] = "off"
    content["keep_float"] = [{"pattern": pattern} for pattern in keep]
    return quantize(source, out, settings=QuantizeSettings.model_validate(content))


def parameters(artifact: Artifact) -> int:
    """Return the parameters of the checkpoint, as export recorded them."""
    record = artifact.manifest.stage("export")
    assert record is not None
    return int(record.facts["parameters"])


def test_float(make_encoder_artifact: Make) -> None:
    """An FP32 artifact has all parameters, all fusions and no coverage."""
    source = make_encoder_artifact()
    found = inspect(source)
    assert found.parameters == parameters(source)
    assert (found.precision, found.int8_coverage, found.int8_embedding_share) == ("fp32", 0.0, 0.0)
    assert found.fused == found.expected_fusions
    assert found.fused["EmbedLayerNormalization"] == 1
    assert found.size_bytes == source.model_bytes
    assert found.artifact == source.digest
    # 384 positions, less the one that RoBERTa's padding id takes.
    assert sum(layer.macs for layer in found.layers) == 383 * MACS
    assert len(found.layers) == 7


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_int8(make_encoder_artifact: Make, span_questions: Path, tmp_path: Path, mode: str) -> None:
    """Quantizing changes no count of parameters: scales, zero points and lookups are not parameters."""
    source = make_encoder_artifact()
    calib = str(span_questions) if mode == "static" else None
    found = inspect(int8(source, tmp_path / "int8", mode=mode, calib=calib))
    assert found.parameters == parameters(source)
    assert (found.precision, found.int8_coverage, found.int8_embedding_share) == ("int8", 1.0, 1.0)
    assert found.fused == found.expected_fusions
    assert all(layer.integer for layer in found.layers)


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_type": "uint8"},
        {"rounding": "gptq", "bias_correction": True, "smooth_quant": 0.5},
        {"schemes": [{"pattern": "*", "scheme": "blockwise", "block_size": 32}]},
        {"schemes": [{"pattern": "*", "scheme": "blockwise", "block_size": 128}]},
        {"schemes": [{"pattern": "query", "scheme": "dynamic"}, {"pattern": "dense", "scheme": "blockwise"}]},
    ],
    ids=["uint8", "techniques", "blocks", "padded blocks", "mixed"],
)
def test_no_scheme_changes_the_count(
    make_encoder_artifact: Make, span_questions: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Parameters are those of the checkpoint however layers are computed: blocks filled up with zeros do not count."""
    source = make_encoder_artifact()
    usual = {"calib_questions": 6, "outlier_channels": "off"}
    content = {"mode": "static", "calib": str(span_questions), **usual, **changes}
    found = inspect(quantize(source, tmp_path / "int8", settings=QuantizeSettings.model_validate(content)))
    assert found.parameters == parameters(source)
    assert (found.int8_coverage, found.int8_embedding_share) == (1.0, 1.0)
    assert sum(layer.macs for layer in found.layers) == 383 * MACS


def test_outlier_channels_are_no_more_parameters(
    make_encoder_artifact: Make, span_questions: Path, tmp_path: Path
) -> None:
    """Rows that are multiplied in float are in the integer weight too, at zero: they count once."""
    source = make_encoder_artifact()
    settings = QuantizeSettings(mode="static", calib=str(span_questions))
    found = inspect(quantize(source, tmp_path / "int8", settings=settings))
    assert found.parameters == parameters(source)
    assert 0.98 < found.int8_coverage < 1.0


@pytest.mark.parametrize(
    ("keep", "macs"),
    [
        ("qa_outputs", 64 * 2),
        ("self.query", 64 * 64),
        ("intermediate.dense", 64 * 128),
        ("*.dense", 64 * 64 + 2 * 64 * 128),
    ],
)
def test_partial_coverage(make_encoder_artifact: Make, tmp_path: Path, keep: str, macs: int) -> None:
    """Coverage is the share of multiply-accumulates that is not kept in float."""
    found = inspect(int8(make_encoder_artifact(), tmp_path / "int8", keep))
    assert found.int8_coverage == pytest.approx(1 - macs / MACS, abs=1e-12)


def test_partial_embeddings(make_encoder_artifact: Make, tmp_path: Path) -> None:
    """The embedding share counts entries of tables: here all but the 384 positions."""
    source = make_encoder_artifact()
    found = inspect(int8(source, tmp_path / "int8", "position_embeddings"))
    words = source.config["vocab_size"]
    assert found.int8_embedding_share == pytest.approx((words + 2) / (words + 2 + 384), abs=1e-12)
    assert found.parameters == parameters(source)
    assert found.int8_coverage == 1.0


def test_nan_logits(make_encoder_artifact: Make) -> None:
    """A model whose logits are NaN is not inspected but reported."""
    with pytest.raises(EvaluationError, match="start_logits holds NaN or Infinity"):
        inspect(make_encoder_artifact(nan=f"{LAYER}.output.dense.weight"))
