"""The other stages work on what was imported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from quantkit.artifact import Artifact
from quantkit.errors import FusionError
from quantkit.pipeline.judging import Terms, judge
from quantkit.recipe.import_settings import ImportSettings
from quantkit.recipe.settings import EvaluateSettings, FuseSettings, GateSettings, KeepFloat, QuantizeSettings
from quantkit.records import GateReport
from quantkit.stages.fuse import fuse
from quantkit.stages.importing import import_folder
from quantkit.stages.inspect import inspect
from quantkit.stages.quantize import quantize

pytestmark = pytest.mark.filterwarnings("ignore")

Make = Callable[..., Path]
Change = Callable[[Path, Callable[[onnx.ModelProto], Any]], None]
TERMS = Terms(evaluate=EvaluateSettings(data="callcentre"), gate=GateSettings())


def take(folder: Path) -> Artifact:
    return import_folder(
        folder, folder.parent / f"{folder.name}-imported", task="squad", settings=ImportSettings()
    )


def name_as_torch_does(model: onnx.ModelProto) -> None:
    """Name linear layers as torch's exporter does, and so optimum: /bert/pooler/dense/MatMul."""
    weights = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            node.name = f"/{node.name.replace('.', '/')}/MatMul".replace("/layer/", "/layer.")


def verdicts(report: GateReport) -> dict[str, str]:
    return {check.name: check.verdict for check in report.checks}


def observed(report: GateReport, name: str) -> str:
    return next(check.observed for check in report.checks if check.name == name)


def test_gate(make_quantized: Make, plain_fp32: Artifact, exact_grid: str) -> None:
    """Onnxruntime's INT8 of our FP32 is gated against it and passes."""
    weights = "QInt8" if exact_grid == "int8" else "QUInt8"
    report = judge(take(make_quantized(weights=weights)), plain_fp32, terms=TERMS, data_dir=None)
    assert (report.verdict, report.questions) == ("pass", 501)
    assert observed(report, "int8 coverage") == "1.000000"
    assert observed(report, "lineage") == "same config and tokenizer"
    assert observed(report, "fusions") == "complete"
    assert observed(report, "calibration") == "0 of 501 were calibrated on"


def test_gate_sees_layers_in_float(make_quantized: Make, plain_fp32: Artifact) -> None:
    """quantize_static as it is by default runs most layers in float: the coverage check fails it."""
    report = judge(take(make_quantized("static-default")), plain_fp32, terms=TERMS, data_dir=None)
    assert (report.verdict, verdicts(report)["int8 coverage"]) == ("fail", "fail")
    assert observed(report, "int8 coverage").startswith("0.4168")


def test_calibration_is_unknown(make_quantized: Make, plain_fp32: Artifact) -> None:
    """Which questions another tool calibrated on nobody here knows, and the gate says so."""
    report = judge(take(make_quantized("static-qdq")), plain_fp32, terms=TERMS, data_dir=None)
    assert observed(report, "calibration") == "unknown: no calibration.json"
    assert verdicts(report)["calibration"] == "inconclusive"


def test_quantize(make_folder: Make, change_model: Change, tmp_path: Path) -> None:
    """An imported FP32 is quantized; patterns fit names of torch's exporter, and the record of the import stays."""
    folder = make_folder()
    change_model(folder / "model.onnx", name_as_torch_does)
    source = take(folder)
    keep = (KeepFloat(pattern="query"),)
    made = quantize(source, tmp_path / "int8", settings=QuantizeSettings(mode="dynamic", keep_float=keep))
    assert [record.stage for record in made.manifest.stages] == ["import", "quantize"]
    assert made.manifest.parent == source.digest
    found = inspect(made)
    assert (found.parameters, sum(not layer.integer for layer in found.layers)) == (1_150_466, 4)


def test_fuse(make_folder: Make, tmp_path: Path) -> None:
    """An imported FP32 that is our own export is fused under the contract of its config."""
    made = fuse(take(make_folder()), tmp_path / "fused", settings=FuseSettings())
    assert [record.stage for record in made.manifest.stages] == ["import", "fuse"]
    assert inspect(made).fused == inspect(made).expected_fusions


def test_fuse_where_the_contract_does_not_allow_it(make_folder: Make, tmp_path: Path) -> None:
    """A graph that is written otherwise breaks the contract with the node where it stopped."""
    folder = make_folder()
    model = onnx.load(folder / "model.onnx")
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    softmax.op_type = "LogSoftmax"
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(FusionError, match="MultiHeadAttention: 3 of 4"):
        fuse(take(folder), tmp_path / "fused", settings=FuseSettings())
