"""Artifacts as they are exported, not fused: static INT8 with queries and keys for runtimes that multiply them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from quantkit.artifact import Artifact
from quantkit.errors import QuantizationError, UsageError
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import load_model, save_model
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.shift import channel_shifts, shift_channels
from quantkit.quantization.write.embeddings import open_embed_layer_norm
from quantkit.recipe.settings import FuseSettings, QuantizeSettings
from quantkit.stages.fuse import fuse
from quantkit.stages.quantize import quantize

Export = Callable[[str, str], Artifact]
LAYERS = 2


@pytest.fixture
def settings(span_questions: Path) -> Callable[..., QuantizeSettings]:
    """Return a function that makes settings of --attention qk, calibrated on six questions."""

    def make(**changes: Any) -> QuantizeSettings:
        content = {"mode": "static", "calib": str(span_questions), "calib_questions": 6, "attention": "qk"}
        # Random rows are beyond the ranges of six questions, to which shifted channels would fit more closely.
        content["channel_shift"] = False
        return QuantizeSettings.model_validate({**content, **changes})

    return make


def logits(path: Path) -> np.ndarray:
    """Return start and end logits of one padded batch."""
    ids = np.random.default_rng(0).integers(5, 50, (3, 20))
    mask = (np.arange(20) < [[20], [15], [7]]).astype(np.int64)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    names = [entry.name for entry in session.get_inputs()]
    return np.stack(session.run(None, {name: feeds[name] for name in names}))[:, mask == 1]


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "decibert", "distilbert", "mobilebert"])
def test_queries_and_keys(
    export_plain: Export, settings: Callable[..., QuantizeSettings], tmp_path: Path, family: str
) -> None:
    """Every family gets two pairs a layer, its linear layers still run as INT8, and logits stay near float."""
    source = export_plain(family, "squad")
    made = quantize(source, tmp_path / "int8", settings=settings())
    record = made.manifest.stage("quantize")
    assert record is not None
    assert record.facts["attention"] == {"qk": 2 * LAYERS}
    assert record.facts["int8_coverage"] == 1.0
    content = made.read_json("calibration.json")
    names = sorted(content["attention"])
    assert len(names) == 2 * LAYERS
    assert set(names) < set(content["ranges"])
    written = [
        node.name for node in onnx.load(made.model_path).graph.node if node.op_type == "QuantizeLinear"
    ]
    assert {f"{name}.output_q" for name in names} <= set(written)
    expected, actual = logits(source.model_path), logits(made.model_path)
    # 8-bit noise of a dozen products in a row, in models of random weights.
    assert np.abs(actual - expected).max() < 0.15 * np.ptp(expected)


def test_they_change_what_is_computed(
    export_plain: Export, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """The pairs are no decoration: logits differ from those of the file without them, by little."""
    source = export_plain("bert", "squad")
    plain = quantize(source, tmp_path / "plain", settings=settings(attention="float"))
    pairs = quantize(source, tmp_path / "pairs", settings=settings())
    difference = np.abs(logits(plain.model_path) - logits(pairs.model_path)).max()
    assert 0 < difference < 0.1 * np.ptp(logits(source.model_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "static", "calib": None}, "needs calibration data"),
        ({"mode": "dynamic", "calib": None}, "--attention qk needs calibration data"),
        ({"mode": "auto"}, "no part of the search"),
    ],
)
def test_settings_that_do_not_go_together(
    export_plain: Export,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    changes: dict[str, Any],
    message: str,
) -> None:
    """Without calibration data there are no ranges, and the search does not try it."""
    with pytest.raises(UsageError, match=message):
        quantize(export_plain("bert", "squad"), tmp_path / "int8", settings=settings(**changes))
    assert not (tmp_path / "int8").exists()


def test_dynamic_layers_too(
    export_plain: Export, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """Layers whose ranges are taken at run time may have calibrated queries and keys."""
    made = quantize(export_plain("bert", "squad"), tmp_path / "int8", settings=settings(mode="dynamic"))
    record = made.manifest.stage("quantize")
    assert record is not None
    assert record.facts["attention"] == {"qk": 2 * LAYERS}


def test_a_fused_artifact_is_refused(
    export_plain: Export, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """The message says which artifact to give."""
    fused = fuse(export_plain("bert", "squad"), tmp_path / "fused", settings=FuseSettings())
    with pytest.raises(QuantizationError, match=r"quantkit export --no-fuse"):
        quantize(fused, tmp_path / "int8", settings=settings())
    assert not (tmp_path / "int8").exists()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("family", "count"),
    [("bert", 7), ("roberta", 7), ("electra", 7), ("decibert", 7), ("distilbert", 7), ("mobilebert", 2)],
)
def test_channel_shift(export_plain: Export, tmp_path: Path, family: str, count: int, fused: bool) -> None:
    """Shifted by anything, every family computes what it did, fused or not: three tensors a layer and the last one.

    MobileBERT has norms without bias-taking residuals, and only attention's outputs are shifted.
    """
    source = export_plain(family, "squad")
    if fused:
        source = fuse(source, tmp_path / "fused", settings=FuseSettings())
    model = load_model(source.model_path)
    open_embed_layer_norm(model)
    widths = {layer.activation.name or "": layer.shape[0] for layer in linear_layers(model.graph)}
    random = np.random.default_rng(0)
    seen = {}
    for name, width in widths.items():
        low, high = np.sort(random.normal(size=(2, width)), axis=0).astype(np.float32)
        seen[name] = Statistics(low=low, high=high, mean=np.zeros(width), square=np.ones(width), tokens=1)
    shifts = channel_shifts(model, seen)
    assert len(shifts) == count
    shift_channels(model, shifts)
    save_model(model, tmp_path / "shifted.onnx")
    expected = logits(source.model_path)
    # float32 of a dozen products in a row.
    found = logits(tmp_path / "shifted.onnx")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.ptp(expected))
