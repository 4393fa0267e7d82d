"""The main job on the real checkpoint and the real SQuAD set; see docs/results.md for the published numbers."""

from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.recipe import EvaluateSettings, GateSettings, QuantizeSettings
from quantkit.report import Evaluation
from quantkit.stages.evaluate import evaluate
from quantkit.stages.gate import GateEvidence, gate
from quantkit.stages.inspect import inspect
from quantkit.stages.quantize import quantize

pytestmark = pytest.mark.real

STATIC = QuantizeSettings(mode="static", calib="squad")
DYNAMIC = QuantizeSettings(mode="dynamic")


@pytest.fixture(scope="module")
def int8(
    shared: Path, minilm_fp32: Artifact, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Artifact]:
    """The checkpoint in both forms, calibrated on MLPerf's list."""
    folder = tmp_path_factory.mktemp("int8")
    return {
        settings.mode: quantize(
            minilm_fp32, folder / settings.mode, settings=settings, data_dir=shared / "data"
        )
        for settings in (STATIC, DYNAMIC)
    }


def _evaluate(artifact: Artifact, shared: Path, limit: int | None) -> Evaluation:
    return evaluate(artifact, settings=EvaluateSettings(data="squad", limit=limit), data_dir=shared / "data")


def test_thousand_questions(shared: Path, minilm_fp32: Artifact, int8: dict[str, Artifact]) -> None:
    """On 1,000 real questions both INT8 forms keep 98 % of F1 (one standard error is 0.5 %), in integer kernels."""
    baseline = _evaluate(minilm_fp32, shared, 1000)
    assert 1000 == baseline.questions
    for mode, artifact in int8.items():
        found = _evaluate(artifact, shared, 1000)
        inspection = inspect(artifact)
        assert found.f1 >= 0.98 * baseline.f1, mode
        assert 1.0 == inspection.int8_coverage
        assert inspection.size_bytes <= 28e6
        assert 1.0 == inspection.int8_embedding_share


@pytest.mark.slow
@pytest.mark.timeout(30_000)
def test_all_questions(shared: Path, minilm_fp32: Artifact, int8: dict[str, Artifact]) -> None:
    """On all 10,570 questions FP32 scores as an independent scorer says, and INT8 keeps what results.md publishes."""
    baseline = _evaluate(minilm_fp32, shared, None)
    assert (10570, 10833) == (baseline.questions, baseline.features)
    assert baseline.f1 == pytest.approx(75.496, abs=0.05)
    assert baseline.exact_match == pytest.approx(64.011, abs=0.05)
    least = {"static": 0.999, "dynamic": 0.9888}
    for mode, artifact in int8.items():
        report = gate(
            GateEvidence(
                candidate=artifact,
                baseline=minilm_fp32,
                candidate_evaluation=_evaluate(artifact, shared, None),
                baseline_evaluation=baseline,
                inspection=inspect(artifact),
            ),
            settings=GateSettings(min_ratio=least[mode]),
        )
        assert "pass" == report.verdict, (mode, report.ratio)
