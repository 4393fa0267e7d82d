"""Saturation: which layers of an artifact can, who is told, and what the gate makes of it on a CPU that does."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from quantkit.artifact import Artifact
from quantkit.errors import QuantizationError, UsageError
from quantkit.graph import saturation
from quantkit.pipeline.judging import gather
from quantkit.recipe.settings import EvaluateSettings, GateSettings, QuantizeSettings
from quantkit.records import Check
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.stages.evaluate import evaluate
from quantkit.stages.gate import gate
from quantkit.stages.inspect import inspect
from quantkit.stages.quantize import quantize

pytestmark = pytest.mark.avx2

Make = Callable[..., Artifact]


def int8(source: Artifact, out: Path, **changes: Any) -> Artifact:
    """Quantize dynamically, with these settings."""
    return quantize(source, out, settings=QuantizeSettings.model_validate({"mode": "dynamic", **changes}))


def checks(made: Artifact, source: Artifact, questions: Path) -> dict[str, Check]:
    """Return what the gate says of an artifact: name → check."""
    settings = EvaluateSettings(data=str(questions))
    report = gate(
        gather(
            made,
            source,
            evaluations=(evaluate(made, settings=settings), evaluate(source, settings=settings)),
            inspection=inspect(made),
        ),
        settings=GateSettings(resamples=200),
    )
    return {check.name: check for check in report.checks}


@pytest.mark.parametrize("layout", ["onnxruntime", "fused"])
@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(
    ("weights", "exact"),
    [
        ({"reduce_range": "no"}, False),
        ({"reduce_range": "yes"}, True),
        ({"weight_type": "int8-pairs"}, True),
        ({"weight_type": "uint8"}, True),
    ],
    ids=["int8", "int7", "int8-pairs", "uint8"],
)
def test_inspection_names_layers_that_can_saturate(
    make_encoder_artifact: Make,
    span_questions: Path,
    tmp_path: Path,
    mode: str,
    layout: str,
    weights: dict[str, str],
    exact: bool,
) -> None:
    """All but the exact grids, whatever operators they are written in: QDQ, MatMulInteger or MatMulIntegerToFloat."""
    static = {"calib": str(span_questions), "calib_questions": 6} if mode == "static" else {}
    made = int8(make_encoder_artifact(), tmp_path / "int8", mode=mode, layout=layout, **weights, **static)
    found = inspect(made)
    assert (found.saturating == ()) is exact
    if not exact:
        assert "bert.encoder.layer.0.output.dense" in found.saturating


def test_float_and_blocks_do_not_saturate(make_encoder_artifact: Make, tmp_path: Path) -> None:
    """Neither has sums of u8 and s8 products."""
    source = make_encoder_artifact()
    blocks = int8(source, tmp_path / "int8", schemes=[{"pattern": "*", "scheme": "blockwise"}])
    assert inspect(source).saturating == ()
    assert inspect(blocks).saturating == ()


def test_gate_where_it_saturates_and_elsewhere(
    make_encoder_artifact: Make, span_questions: Path, tmp_path: Path
) -> None:
    """Full int8 fails on this very CPU where it has no VNNI, by a layer's name, and is reported where it has."""
    source = make_encoder_artifact()
    made = int8(source, tmp_path / "int8", reduce_range="no")
    found = checks(made, source, span_questions)["saturation"]
    saturates = resolve_target(NATIVE, cpu_facts()).saturates
    assert found.verdict == ("fail" if saturates else "pass")
    assert "bert.encoder.layer.0" in found.observed


def test_any_passes_everywhere(make_encoder_artifact: Make, span_questions: Path, tmp_path: Path) -> None:
    """What is made for any CPU says where it was run, and is judged by the kernels of the CPU at hand."""
    source = make_encoder_artifact()
    made = int8(source, tmp_path / "int8", target_isa="any")
    record = made.manifest.stage("quantize")
    assert record is not None
    facts = record.facts
    here = resolve_target(NATIVE, cpu_facts()).name
    assert (facts["weight_type"], facts["target_isa"], facts["validated_on"]) == ("int8-pairs", "any", [here])
    assert facts["pair_sums"] == {"least": -128, "largest": 128, "kept": True}
    found = checks(made, source, span_questions)
    assert (found["isa"].verdict, found["saturation"].verdict) == ("pass", "pass")
    assert found["saturation"].observed == "exact on every CPU"


def test_any_with_other_weights_fails(
    make_encoder_artifact: Make, span_questions: Path, tmp_path: Path
) -> None:
    """An artifact that says it is for any CPU, and has weights that are not, is not believed."""
    source = make_encoder_artifact()
    made = int8(source, tmp_path / "int8", reduce_range="no", target_isa="avx2")
    record = made.manifest.stage("quantize")
    assert record is not None
    record.facts["target_isa"] = "any"
    found = checks(made, source, span_questions)["isa"]
    assert found.verdict == "fail"
    assert "is not exact on every CPU, quantize it again" in found.observed


@pytest.mark.parametrize("weights", [{"reduce_range": "no"}, {"target_isa": "any"}])
def test_evaluate_warns_where_it_saturates(
    make_encoder_artifact: Make,
    span_questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    weights: dict[str, str],
) -> None:
    """Once, with a layer's name, and only of weights that can."""
    made = int8(make_encoder_artifact(), tmp_path / "int8", **weights)
    monkeypatch.setattr(saturation, "saturates_here", lambda: True)
    with caplog.at_level(logging.WARNING):
        evaluate(made, settings=EvaluateSettings(data=str(span_questions)))
    said = [record.getMessage() for record in caplog.records if "saturate" in record.getMessage()]
    assert len(said) == ("reduce_range" in weights)
    assert all("sums of bert.encoder.layer.0" in line for line in said)


def test_weights_beyond_the_limit_are_not_written(
    make_encoder_artifact: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What moves inputs after rounding is found out: the written weights are looked at, layer by layer."""

    def swapped(model: Any, path: Path, *, external: bool) -> None:
        saved = onnx.load_model_from_string(_bytes(model))
        for tensor in saved.graph.initializer:
            if tensor.name.startswith("bert.encoder.layer.0.output.dense.weight_int8"):
                array = onnx.numpy_helper.to_array(tensor)
                array = array[[0, *range(2, len(array)), 1]]
                tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
        onnx.save(saved, path)

    from quantkit.stages import quantize as stage

    monkeypatch.setattr(stage, "save_model", swapped)
    with pytest.raises(
        QuantizationError, match=r"layer\.0\.output\.dense: its weights were rounded within the pair"
    ):
        int8(make_encoder_artifact(), tmp_path / "int8", target_isa="any")


def _bytes(model: Any) -> bytes:
    import onnx_ir as ir

    return ir.to_proto(model).SerializeToString()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"target_isa": "any", "reduce_range": "no"},
            "--target-isa any and --reduce-range no contradict each other",
        ),
        ({"weight_type": "int8-pairs", "reduce_range": "yes"}, "are two ways to the same end; choose one"),
        ({"target_isa": "anny"}, "--target-isa anny: there is no such target; did you mean any?"),
    ],
)
def test_contradictions(
    make_encoder_artifact: Make, tmp_path: Path, asked: dict[str, str], said: str
) -> None:
    """What cannot be had together is refused before anything runs."""
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        int8(make_encoder_artifact(), tmp_path / "int8", **asked)
