"""exact_int8: what saturates on this CPU is multiplied exactly, the reports say so, and the gate does not mix."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.numpy_helper
import onnx.parser
import pytest

from quantkit.artifact import Artifact
from quantkit.errors import ArtifactError, UsageError
from quantkit.graph import saturation
from quantkit.pipeline.judging import gather
from quantkit.recipe.settings import BenchSettings, EvaluateSettings, GateSettings, QuantizeSettings
from quantkit.records import Evaluation
from quantkit.runtime.cpu import saturates_here
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import Session, SessionOptions, open_model
from quantkit.stages.bench.profiles import profile_facts, profile_for
from quantkit.stages.evaluate import evaluate, ingredients
from quantkit.stages.gate import gate
from quantkit.stages.inspect import inspect
from quantkit.stages.quantize import quantize
from quantkit.tasks.data_places import DataPlaces

pytestmark = pytest.mark.avx2

Make = Callable[..., Artifact]
SHARING = """
<ir_version: 8, opset_import: ["" : 17]>
two (uint8[rows, 4] input_ids, uint8[rows, 4] attention_mask) => (int32[rows, 2] a, int32[rows, 2] b)
{
    a = MatMulInteger (input_ids, left, from, zero)
    b = MatMulInteger (attention_mask, right, from, zero)
}
"""


def int8(source: Artifact, out: Path, **changes: Any) -> Artifact:
    """Quantize dynamically, with these settings."""
    return quantize(source, out, settings=QuantizeSettings.model_validate({"mode": "dynamic", **changes}))


def saturating(make: Make, folder: Path) -> tuple[Artifact, Artifact]:
    """Return a float artifact, and full int8 of it."""
    source = make()
    return source, int8(source, folder / "int8", reduce_range="no")


def logits(artifact: Artifact, *, exact_int8: bool) -> list[np.ndarray]:
    """Return the outputs for one row."""
    outputs = ("start_logits", "end_logits")
    session = Session(artifact.model_path, outputs=outputs, options=SessionOptions(exact_int8=exact_int8))
    ids = np.arange(1, 13)[None, :]
    return list(
        session.run({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0})
    )


@pytest.mark.parametrize("layout", ["onnxruntime", "fused"])
@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_exact_on_every_cpu(
    make_encoder_artifact: Make, span_questions: Path, tmp_path: Path, mode: str, layout: str
) -> None:
    """Full int8 gives, bit by bit, what the same levels give as uint8 weights, whose sums are exact everywhere."""
    static = {"calib": str(span_questions), "calib_questions": 6} if mode == "static" else {}
    asked = {"mode": mode, "layout": layout, **static}
    source = make_encoder_artifact()
    signed = int8(source, tmp_path / "int8", reduce_range="no", **asked)
    unsigned = int8(source, tmp_path / "uint8", weight_type="uint8", **asked)
    found, expected = logits(signed, exact_int8=True), logits(unsigned, exact_int8=False)
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_evaluation_says_so(make_encoder_artifact: Make, span_questions: Path, tmp_path: Path) -> None:
    """The report names the products, the key is another one, and nobody is warned."""
    _, made = saturating(make_encoder_artifact, tmp_path)
    plain, exact = (EvaluateSettings(data=str(span_questions), exact_int8=value) for value in (False, True))
    assert evaluate(made, settings=exact).settings["int8_products"] == (
        "u8u8" if saturates_here() else "u8s8"
    )
    assert "int8_products" not in evaluate(made, settings=plain).settings
    nowhere = DataPlaces(data_dir=None)
    keys = {ingredients(made, settings, nowhere).key("evaluate") for settings in (plain, exact)}
    assert len(keys) == 2


@pytest.mark.parametrize(("exact", "warnings"), [(False, 1), (True, 0)])
def test_the_warning_names_the_way_out(
    make_encoder_artifact: Make,
    span_questions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    exact: bool,
    warnings: int,
) -> None:
    """Where sums saturate the option is suggested, and who has given it hears nothing."""
    _, made = saturating(make_encoder_artifact, tmp_path)
    monkeypatch.setattr(saturation, "saturates_here", lambda: True)
    with caplog.at_level(logging.WARNING):
        evaluate(made, settings=EvaluateSettings(data=str(span_questions), exact_int8=exact))
    said = [record.getMessage() for record in caplog.records if "saturate" in record.getMessage()]
    assert len(said) == warnings
    assert all("give --exact-int8" in line for line in said)


def judged(
    made: Artifact, source: Artifact, ours: Evaluation, theirs: Evaluation
) -> dict[str, tuple[str, str]]:
    """Return what the gate makes of two evaluations: name of a check → verdict and what was observed."""
    evidence = gather(made, source, evaluations=(ours, theirs), inspection=inspect(made))
    report = gate(evidence, settings=GateSettings(resamples=200))
    return {check.name: (check.verdict, check.observed) for check in report.checks}


def test_gate_judges_it_as_it_ran(make_encoder_artifact: Make, span_questions: Path, tmp_path: Path) -> None:
    """Evaluated as uint8 weights what saturates passes, and the check says to run it so; it does not pass without."""
    source, made = saturating(make_encoder_artifact, tmp_path)
    sides = [evaluate(one, settings=EvaluateSettings(data=str(span_questions))) for one in (made, source)]
    here = {"model": "any", "machine": "x86_64", "cores": 1, "instruction_sets": ["avx2"]}
    plain = [side.model_copy(update={"cpu": here}) for side in sides]
    exact = [
        side.model_copy(update={"settings": {**side.settings, "int8_products": "u8u8"}}) for side in plain
    ]
    verdict, observed = judged(made, source, *exact)["saturation"]
    assert verdict == "pass"
    assert observed.endswith("evaluated with --exact-int8 (u8u8), run it so there")
    assert judged(made, source, *plain)["saturation"][0] == "fail"
    assert judged(made, source, exact[0], plain[1])["questions"] == (
        "fail",
        f"{sides[0].questions}; evaluated with different int8_products",
    )


def test_bench_says_so(make_encoder_artifact: Make) -> None:
    """A profile that asks for it says what that is here; OpenVINO has no such thing."""
    artifact = make_encoder_artifact()
    profile = profile_for(artifact, BenchSettings(exact_int8=True), one_by_one=False)
    assert profile_facts(profile)["int8_products"] == ("u8u8" if saturates_here() else "u8s8")
    assert "int8_products" not in profile_facts(RuntimeProfile.here())
    with pytest.raises(UsageError, match="--exact-int8: is for runtime onnxruntime"):
        profile_for(artifact, BenchSettings(exact_int8=True, runtime="openvino"), one_by_one=False)


def test_shared_zero_points_are_refused(tmp_path: Path) -> None:
    """Weights that share a zero point are what onnxruntime cannot turn: where it would have to, one line says so."""
    model = onnx.parser.parse_model(SHARING)
    constants = {
        "left": np.full((4, 2), 127, np.int8),
        "right": np.full((4, 2), -127, np.int8),
        "from": np.array(0, np.uint8),
        "zero": np.array(0, np.int8),
    }
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in constants.items()
    )
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    if not saturates_here():
        open_model(path, name="model", options=SessionOptions(exact_int8=True))
        return
    with pytest.raises(ArtifactError, match="layers share an int8 weight or its zero point"):
        open_model(path, name="model", options=SessionOptions(exact_int8=True))
