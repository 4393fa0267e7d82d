"""The quantize stage: what it writes, what it refuses, and that it writes nothing when it fails."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from quantkit.artifact import Artifact, new_artifact
from quantkit.errors import (
    ArtifactError,
    CheckpointError,
    DatasetError,
    OutputError,
    QuantizationError,
    QuantkitError,
    RecipeError,
    UsageError,
)
from quantkit.files import sha256_file
from quantkit.graph.kernels import trace_execution
from quantkit.graph.mask_free import write_mask_free
from quantkit.graph.pairs import keeps_pair_limit
from quantkit.quantization.grids import GRIDS
from quantkit.quantization.treatments import shift
from quantkit.recipe.settings import QuantizeSettings
from quantkit.runtime.cpu import NATIVE, CpuFacts, cpu_facts, resolve_target
from quantkit.stages import quantize as stage
from quantkit.stages.quantize import quantize
from quantkit.stages.quantize.ingredients import ingredients
from quantkit.tasks.data_places import DataPlaces

pytestmark = pytest.mark.avx2

Make = Callable[..., Artifact]
LAYER = "bert.encoder.layer.0"
TABLES = [f"bert.embeddings.{name}_embeddings" for name in ("word", "position", "token_type")]
LAYERS = 7
FILE = "the questions"  # in settings: the path of the tiny questions


@pytest.fixture
def settings(span_questions: Path) -> Callable[..., QuantizeSettings]:
    """Return a function that makes settings; static calibrates on the six questions, with smoothing alone."""

    def make(mode: str = "dynamic", *, keep: tuple[str, ...] = (), **changes: Any) -> QuantizeSettings:
        content: dict[str, Any] = {"mode": mode, "keep_float": [{"pattern": pattern} for pattern in keep]}
        if mode == "static":
            content |= {"calib": str(span_questions), "calib_questions": 6}
            content |= {"plain": True, "smooth_quant": "auto"}
        return QuantizeSettings.model_validate({**content, **changes})

    return make


def logits(artifact: Artifact) -> np.ndarray:
    """Return start and end logits of one padded batch."""
    ids = np.random.default_rng(0).integers(5, 25, (3, 40))
    mask = (np.arange(40) < [[40], [30], [12]]).astype(np.int64)
    session = onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"])
    feeds = {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return np.stack(session.run(None, feeds))[:, mask == 1]


def facts_of(artifact: Artifact) -> dict[str, Any]:
    """Return the facts of the quantize record."""
    record = artifact.manifest.stage("quantize")
    assert record is not None
    return record.facts


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_everything_runs_in_integers(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path, mode: str
) -> None:
    """All layers and tables are INT8, the record says what was executed, and logits stay near float."""
    source = make_encoder_artifact()
    made = quantize(source, tmp_path / "int8", settings=settings(mode))
    facts = facts_of(made)
    assert facts["int8_coverage"] == 1.0
    assert facts["quantized_layers"] == LAYERS
    assert facts["quantized_tables"] == TABLES
    assert facts["kept_float"] == []
    kernels = facts["kernels"]
    integer = kernels.get("MatMulIntegerToFloat", 0) + kernels.get("DynamicQuantizeMatMul", 0)
    assert integer == LAYERS
    assert "EmbedLayerNormalization" not in kernels
    # Every operator of the layout is executed; the embeddings' norm is opened too.
    static = mode == "static"
    without_avx512 = resolve_target(NATIVE, cpu_facts()).name == "avx2"
    assert facts["expected"] == {
        "EmbedLayerNormalization": 0,
        "MultiHeadAttention": 1,
        "SkipLayerNormalization": 0,
        "BiasGelu": 0 if static else 1,
        "LayerNormalization": 3,
        **({"FastGelu" if without_avx512 else "Gelu": 1} if static else {}),
    }
    assert facts["layout"] == {
        "name": "onnxruntime-avx2" if without_avx512 else "onnxruntime",
        "open_norms": 3,
        # All layers but the head's: its two outputs a token are static too.
        "integer_products": LAYERS if static else 0,
        "tanh_gelus" if without_avx512 else "open_gelus": int(static),
        # Three of attention, two of residuals, one of the head; one went with the Gelu.
        "fold_biases": LAYERS - 1 if static else 0,
        "narrow_pooled": 0,
        "slice_outliers": 0,
        "fold_copies": 0,
    }
    assert {name: kernels.get(name, 0) for name in facts["expected"]} == facts["expected"]
    expected, actual = logits(source), logits(made)
    # 8-bit noise of six products in a row: a few percent of the logits' spread.
    assert np.abs(actual - expected).max() < 0.1 * np.ptp(expected)
    assert (made.manifest.precision, made.manifest.parent) == ("int8", source.digest)
    assert [entry.stage for entry in made.manifest.stages] == ["export", "fuse", "quantize"]
    assert (made.path / "vocab.txt").read_bytes() == (source.path / "vocab.txt").read_bytes()


@pytest.mark.parametrize(
    ("layout", "operators"),
    [
        ("portable", {"LayerNormalization": 3, "SkipLayerNormalization": 0, "BiasGelu": 1}),
        ("fused", {"SkipLayerNormalization": 3, "BiasGelu": 1}),
    ],
)
def test_layouts_give_the_same_numbers(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    layout: str,
    operators: dict[str, int],
) -> None:
    """The layouts differ in operators, and in logits by what rounding to 8 bits makes of a last float bit."""
    source = make_encoder_artifact()
    made = quantize(source, tmp_path / "int8", settings=settings("static"))
    other = quantize(source, tmp_path / "other", settings=settings("static", layout=layout))
    facts = facts_of(other)
    assert operators.items() <= facts["expected"].items()
    assert {name: facts["kernels"].get(name, 0) for name in facts["expected"]} == facts["expected"]
    assert np.abs(logits(other) - logits(made)).max() < 0.02 * np.ptp(logits(made))


def test_without_a_mask(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """The variant for equal lengths answers full rows as the artifact does, and takes the same inputs."""
    made = quantize(make_encoder_artifact(), tmp_path / "int8", settings=settings("static"))
    variant = write_mask_free(made.model_path, tmp_path / "equal-lengths")
    ids = np.random.default_rng(0).integers(5, 25, (3, 40))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    expected, actual = (
        np.stack(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds))
        for path in (made.model_path, variant)
    )
    # A last bit of attention can move a rounding to 8 bits, and with it a logit by a step of the next layer.
    assert np.abs(actual - expected).max() < 0.02 * np.ptp(expected)


def test_layout_that_onnxruntime_undoes(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When onnxruntime executes other operators than the layout wrote, it is an error that says so."""
    monkeypatch.setattr(stage, "read_back", lambda *_: {"kernels": {"SkipLayerNormalization": 3}})
    with pytest.raises(
        QuantizationError, match=r"3 SkipLayerNormalization became LayerNormalization, but onnx"
    ):
        quantize(make_encoder_artifact(), tmp_path / "int8", settings=settings("static"))


def test_file_shrinks_near_four_times(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """With tables in INT8 the file is near a quarter; without them it is not."""
    source = make_encoder_artifact()
    whole = quantize(source, tmp_path / "whole", settings=settings())
    tables_float = quantize(source, tmp_path / "float", settings=settings(keep=("*_embeddings",)))
    # One scale of 4 bytes for 64 entries a row, and the graph itself (12 kB): the limit of large tables is 3.76.
    assert source.model_bytes / whole.model_bytes > 3.3
    assert source.model_bytes / tables_float.model_bytes < 1.5
    assert facts_of(tables_float)["quantized_tables"] == []


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_the_same_twice(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path, mode: str
) -> None:
    """The same artifact and settings give the same digest, with a cache and without."""
    source = make_encoder_artifact()
    first = quantize(source, tmp_path / "first", settings=settings(mode))
    second = quantize(source, tmp_path / "second", settings=settings(mode))
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    third = quantize(source, tmp_path / "third", settings=settings(mode))
    assert [second.digest, third.digest] == [first.digest] * 2


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy", "mse"])
def test_calibration_is_recorded(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path, method: str
) -> None:
    """calibration.json names the questions and gives each layer's range; the record sums it up."""
    made = quantize(
        make_encoder_artifact(), tmp_path / "int8", settings=settings("static", calib_method=method)
    )
    content = made.read_json("calibration.json")
    assert len(content["ranges"]) == LAYERS
    assert len(content["ids"]) == content["questions"] == content["features"] == 6
    assert content["method"] == method
    assert "calibration.json" in made.manifest.files
    for entry in content["ranges"].values():
        assert entry["seen_low"] < entry["seen_high"]
        assert min(entry["seen_low"], 0) <= entry["low"] < entry["high"] <= max(entry["seen_high"], 0)
    summary = facts_of(made)["calibration"]
    assert {"ids", "ranges"}.isdisjoint(summary)
    assert summary["questions"] == 6
    assert summary["tokens"] == content["tokens"] > 60
    query, key = (content["ranges"][f"{LAYER}.attention.self.{name}"] for name in ("query", "key"))
    assert query == key


def test_record_has_the_key_of_the_ingredients(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """Resuming and the manifest speak of the same key."""
    artifact, asked = make_encoder_artifact(), settings("static", seed=3)
    record = quantize(artifact, tmp_path / "int8", settings=asked).manifest.stage("quantize")
    assert record is not None
    assert record.key == ingredients(artifact, asked, DataPlaces()).key("quantize")


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (("qa_outputs",), ["qa_outputs"]),
        ((f"{LAYER}.attention.self.query",), [f"{LAYER}.attention.self.query"]),
        (("self.value",), [f"{LAYER}.attention.self.value"]),
        (
            ("*.attention.self.*",),
            [f"{LAYER}.attention.self.{name}" for name in ("query", "key", "value")],
        ),
        (("word_embeddings", "qa_outputs"), ["qa_outputs", TABLES[0]]),
    ],
)
@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_keep_float(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    mode: str,
    patterns: tuple[str, ...],
    kept: list[str],
) -> None:
    """A name, the tail of one, a glob or a table keeps just that in float, and its weight bytes as they were."""
    source = make_encoder_artifact()
    # Smoothing may move a factor into the weight of a float layer, which is then another weight.
    made = quantize(source, tmp_path / "int8", settings=settings(mode, keep=patterns, smooth_quant="off"))
    assert facts_of(made)["kept_float"] == kept
    assert facts_of(made)["int8_coverage"] < 1.0
    execution = trace_execution(made.model_path, outputs=("start_logits", "end_logits"), config=made.config)
    floats = {layer.name for layer in execution.layers if not layer.integer}
    assert floats == set(kept) - set(TABLES)
    stored, original = (
        {tensor.name: tensor.raw_data for tensor in onnx.load(artifact.model_path).graph.initializer}
        for artifact in (made, source)
    )
    for name in kept:
        assert stored[f"{name}.weight"] == original[f"{name}.weight"]
        assert f"{name}.weight_int8" not in stored


@pytest.mark.parametrize("choice", ["auto", "yes", "no"])
@pytest.mark.parametrize("vnni", [True, False])
def test_reduce_range(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    choice: str,
    vnni: bool,
) -> None:
    """Seven bits are for who asks for them: auto keeps the pair limit without VNNI; recorded, and in the weights."""
    sets = ("avx2", "avx512_vnni") if vnni else ("avx2",)
    facts = CpuFacts(model="any", machine="x86_64", cores=1, instruction_sets=sets)
    monkeypatch.setattr(stage, "cpu_facts", lambda: facts)
    made = quantize(make_encoder_artifact(), tmp_path / "int8", settings=settings(reduce_range=choice))
    expected = "int7" if choice == "yes" else "int8" if choice == "no" or vnni else "int8-pairs"
    assert facts_of(made)["reduce_range"] is (expected == "int7")
    assert facts_of(made)["weight_type"] == expected
    weights = [
        onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(made.model_path).graph.initializer
        if tensor.name.endswith("weight_int8") and "embeddings" not in tensor.name
    ]
    assert max(int(np.abs(weight.astype(int)).max()) for weight in weights) == GRIDS[expected].limit
    assert all(map(keeps_pair_limit, weights)) is GRIDS[expected].exact
    assert facts_of(made)["pair_sums"]["kept"] is GRIDS[expected].exact


def test_default_grid_is_exact_here(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    exact_grids: frozenset[str],
) -> None:
    """Nobody who gives no grid gets one whose sums saturate on this CPU."""
    made = quantize(make_encoder_artifact(), tmp_path / "int8", settings=settings())
    assert facts_of(made)["weight_type"] in exact_grids


def test_external_data_stays_external(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """A model with weights beside it becomes an INT8 model with weights beside it, and computes the same."""
    inside = quantize(make_encoder_artifact("a"), tmp_path / "a8", settings=settings("static"))
    outside = quantize(
        make_encoder_artifact("b", external=True), tmp_path / "b8", settings=settings("static")
    )
    assert "model.onnx.data" in outside.manifest.files
    assert "model.onnx.data" not in inside.manifest.files
    np.testing.assert_array_equal(logits(outside), logits(inside))


SCHEMES = (
    {"pattern": "self.query", "scheme": "dynamic"},
    {"pattern": "self.*", "scheme": "static", "smooth_quant": "off", "symmetric": True},
    {"pattern": "attention.output.dense", "calib_method": "percentile"},
    {"pattern": "intermediate.dense", "rounding": "gptq", "bias_correction": True, "smooth_quant": 0.5},
    {"pattern": "output.dense", "scheme": "blockwise", "block_size": 32, "because": "0.0004 nats"},
)


def test_schemes(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """Each layer is executed as the first entry that fits says, read back, recorded, and the same the next time."""
    source = make_encoder_artifact()
    chosen = settings("static", schemes=list(SCHEMES), keep=("qa_outputs",))
    made = quantize(source, tmp_path / "int8", settings=chosen)
    facts = facts_of(made)
    execution = trace_execution(made.model_path, outputs=("start_logits", "end_logits"), config=made.config)
    kernels = {layer.name.removeprefix(f"{LAYER}."): layer.kernel for layer in execution.layers}
    assert kernels.pop("attention.self.query") in {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
    assert kernels == {
        "attention.self.key": "MatMulIntegerToFloat",
        "attention.self.value": "MatMulIntegerToFloat",
        "attention.output.dense": "MatMulIntegerToFloat",
        "intermediate.dense": "MatMulIntegerToFloat",
        "output.dense": "MatMulNBits",
        "qa_outputs": "MatMul",
    }
    # The pattern output.dense names attention.output.dense too, which an entry before it has.
    assert facts["schemes"] == {
        "dynamic smooth": 1,
        "static": 2,
        "static smooth": 1,
        "static smooth 0.5 gptq": 1,
        "blockwise 32": 1,
        "float": 1,
    }
    assert (facts["quantized_layers"], facts["kept_float"]) == (6, ["qa_outputs"])
    ranges = made.read_json("calibration.json")["ranges"]
    assert set(ranges) == {
        f"{LAYER}.{name}"
        for name in (
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "intermediate.dense",
        )
    }
    symmetric = ranges[f"{LAYER}.attention.self.key"]
    assert symmetric["low"] == pytest.approx(-symmetric["high"] * 128 / 127)
    expected, actual = logits(source), logits(made)
    assert np.abs(actual - expected).max() < 0.1 * np.ptp(expected)
    shutil.rmtree(tmp_path / "cache")
    assert made.digest == quantize(source, tmp_path / "again", settings=chosen).digest


def test_split_channels(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The manifest says which layers read copies; the layer before makes them, and all stays in integers."""
    # Random weights have no channel that is worth four.
    monkeypatch.setattr("quantkit.quantization.treatments.split._MANY", 2)
    source = make_encoder_artifact()
    made = quantize(source, tmp_path / "made", settings=settings("static", split_channels="auto"))
    facts = facts_of(made)
    assert facts["split_channels"] == {f"{LAYER}.output.dense": 16}
    assert (facts["layout"]["fold_copies"], facts["int8_coverage"]) == (1, 1.0)
    assert "Concat" not in facts["kernels"]
    expected, actual = logits(source), logits(made)
    assert np.abs(actual - expected).max() < 0.1 * np.ptp(expected)
    asked = settings("static", schemes=({"pattern": "*.intermediate.dense", "split_channels": 8},))
    named = quantize(source, tmp_path / "named", settings=asked)
    assert facts_of(named)["split_channels"] == {f"{LAYER}.intermediate.dense": 8}
    assert facts_of(named)["kernels"]["Concat"] == 1


def test_outlier_channels(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The manifest says which layers have outlier channels; where nothing sticks out it is none, and the same bytes."""
    source, chosen = make_encoder_artifact(), settings("static", outlier_channels="auto")
    made = quantize(source, tmp_path / "made", settings=chosen)
    assert facts_of(made)["outlier_channels"] == {f"{LAYER}.output.dense": 8}
    assert facts_of(made)["schemes"]["static smooth outliers 8"] == facts_of(made)["kernels"]["MatMul"] == 1
    expected, actual = logits(source), logits(made)
    assert np.abs(actual - expected).max() < 0.1 * np.ptp(expected)
    monkeypatch.setattr("quantkit.quantization.treatments.outliers._MUCH_LESS", 0.0)
    even, plain = (
        quantize(source, tmp_path / name, settings=asked)
        for name, asked in (("even", chosen), ("plain", settings("static")))
    )
    assert (facts_of(even)["outlier_channels"], facts_of(even)["schemes"]) == ({}, facts_of(plain)["schemes"])
    assert even.model_path.read_bytes() == plain.model_path.read_bytes()


def test_calibration_nobody_uses_in_a_static_recipe(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """Entries may leave no layer to the section: nothing is calibrated, and the file says so."""
    entries = [{"pattern": "*", "scheme": "blockwise", "block_size": 64}]
    made = quantize(make_encoder_artifact(), tmp_path / "int8", settings=settings("static", schemes=entries))
    assert made.read_json("calibration.json")["ranges"] == {}
    assert facts_of(made)["schemes"] == {"blockwise 64": LAYERS}
    assert facts_of(made)["kernels"]["MatMulNBits"] == LAYERS


@pytest.mark.parametrize("smooth", ["auto", "off", 0.5])
@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_range_methods_see_the_smoothed_tensor(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    method: str,
    smooth: Any,
) -> None:
    """With any smoothing ranges by histogram lie in those of minmax, and results near float."""
    source = make_encoder_artifact()
    made, plain = (
        quantize(
            source,
            tmp_path / name,
            settings=settings("static", calib_method=name, percentile=99.0, smooth_quant=smooth),
        )
        for name in (method, "minmax")
    )
    found, widest = (artifact.read_json("calibration.json")["ranges"] for artifact in (made, plain))
    assert list(found) == list(widest)
    for name, entry in found.items():
        assert entry["seen_low"] == pytest.approx(widest[name]["low"], rel=1e-4)
        assert entry["seen_high"] == pytest.approx(widest[name]["high"], rel=1e-4)
        assert entry["low"] >= min(entry["seen_low"], 0)
        assert entry["high"] <= max(entry["seen_high"], 0)
    expected, actual = logits(source), logits(made)
    # Percentile 99 clips one value in a hundred.
    assert np.abs(actual - expected).max() < 0.25 * np.ptp(expected)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
@pytest.mark.parametrize(
    ("techniques", "bound"),
    [
        ({"rounding": "gptq"}, 0.1),
        ({"bias_correction": True}, 0.1),
        ({"rounding": "gptq", "bias_correction": True, "smooth_quant": 0.5}, 0.1),
        # Ranges that fit six questions closely clip more of random words.
        ({"channel_shift": True}, 0.15),
    ],
)
def test_what_calibration_is_good_for(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    span_questions: Path,
    tmp_path: Path,
    mode: str,
    techniques: dict[str, Any],
    bound: float,
) -> None:
    """Each technique in both modes: other bytes than without, the same every time, and all in integers."""
    source = make_encoder_artifact()
    calib = {"calib": str(span_questions), "calib_questions": 6}
    plain = quantize(source, tmp_path / "plain", settings=settings(mode))
    made = quantize(source, tmp_path / "int8", settings=settings(mode, **calib, **techniques))
    again = quantize(source, tmp_path / "again", settings=settings(mode, **calib, **techniques))
    assert made.digest == again.digest != plain.digest
    assert facts_of(made)["int8_coverage"] == 1.0
    assert facts_of(made)["calibration"]["questions"] == 6
    expected, actual = logits(source), logits(made)
    assert np.abs(actual - expected).max() < bound * np.ptp(expected)


@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_channel_shift(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path, method: str
) -> None:
    """All tensors that norms and attention make are shifted, the manifest says how many, and ranges are even then."""
    chosen = settings("static", channel_shift=True, smooth_quant="off", calib_method=method)
    source = make_encoder_artifact()
    made = quantize(source, tmp_path / "int8", settings=chosen)
    assert made.digest == quantize(source, tmp_path / "again", settings=chosen).digest
    assert (facts_of(made)["channel_shift"], facts_of(made)["int8_coverage"]) == (4, 1.0)
    ranges = made.read_json("calibration.json")["ranges"]
    for name in ("attention.self.query", "attention.output.dense", "intermediate.dense"):
        seen = ranges[f"{LAYER}.{name}"]
        assert seen["seen_low"] == pytest.approx(-seen["seen_high"], rel=1e-3)


def test_nothing_to_shift(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shift that is asked for where no tensor can be shifted is refused; by default it is told of."""
    monkeypatch.setattr(shift, "channel_shifts", lambda *_: {})
    source, chosen = make_encoder_artifact(), settings("static", channel_shift=True)
    match = r"channel_shift: no layer reads a tensor .*; leave --channel-shift out"
    out = tmp_path / "int8"
    refuse(lambda: quantize(source, out, settings=chosen), out, QuantizationError, match)
    usual = settings("static", plain=False, rounding="nearest")
    assert facts_of(quantize(source, out, settings=usual))["channel_shift"] == 0


def test_techniques_by_default(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """Static with nothing said makes what it makes with every technique said; plain makes the bytes of none."""
    source = make_encoder_artifact()
    names = ("rounding", "bias_correction", "channel_shift", "outlier_channels", "smooth_quant")
    forms = {
        "usual": {"plain": False},
        "said": {"plain": True, **dict(zip(names, ("gptq", True, True, "auto", "auto"), strict=True))},
        "plain": {"plain": True, "smooth_quant": "off"},
        "none": {"plain": False, **dict(zip(names, ("nearest", False, False, "off", "off"), strict=True))},
    }
    made = {
        name: quantize(source, tmp_path / name, settings=settings("static", **said))
        for name, said in forms.items()
    }
    digests = {name: sha256_file(artifact.model_path) for name, artifact in made.items()}
    assert (digests["usual"], digests["plain"]) == (digests["said"], digests["none"])
    assert digests["usual"] != digests["plain"]
    assert facts_of(made["usual"])["channel_shift"] == 4


def test_one_layer_on_another_grid(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """An entry of schemes names the grid of its layers, whose kernels are read back, and the manifest counts both."""
    entry = {"pattern": "intermediate.dense", "weight_type": "uint8"}
    chosen = settings("static", weight_type="int8-pairs", schemes=[entry])
    source = make_encoder_artifact()
    made = quantize(source, tmp_path / "int8", settings=chosen)
    facts = facts_of(made)
    assert facts["grids"] == {"int8-pairs": LAYERS - 1, "uint8": 1}
    assert (facts["int8_coverage"], facts["pair_sums"]["kept"]) == (1.0, True)
    assert facts["schemes"] == {"static smooth": LAYERS - 1, "static smooth uint8": 1}
    expected, actual = logits(source), logits(made)
    assert np.abs(actual - expected).max() < 0.1 * np.ptp(expected)


def test_too_few_tokens_for_moments(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """Second moments of more channels than there are tokens are refused, with what to do."""
    source, out = make_encoder_artifact(), tmp_path / "int8"
    few = settings("static", calib_questions=2, rounding="gptq")
    match = r"tokens in 2 calibration questions are too few for the second moments of 128 channels"
    refuse(lambda: quantize(source, out, settings=few), out, DatasetError, match)
    assert not out.exists()


def refuse(make: Callable[[], object], folder: Path, error: type[QuantkitError], match: str) -> None:
    """Require one line of this error, and that the folder is as it was, with nothing beside it."""
    before = sorted(folder.parent.rglob("*")) if folder.parent.exists() else []
    with pytest.raises(error, match=match) as caught:
        make()
    assert "\n" not in str(caught.value)
    after = sorted(path for path in folder.parent.rglob("*") if "cache" not in path.parts)
    assert after == [path for path in before if "cache" not in path.parts]


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"keep": ("querry",)}, RecipeError, r"pattern 'querry' matches no layer"),
        ({"smooth_quant": 0.5}, UsageError, r"--smooth-quant, --rounding gptq, .* need calibration"),
        ({"rounding": "gptq"}, UsageError, r"--smooth-quant, --rounding gptq, .* need calibration"),
        ({"bias_correction": True}, UsageError, r"--bias-correction and --channel-shift need calibration"),
        ({"channel_shift": True}, UsageError, r"--bias-correction and --channel-shift need calibration"),
        (
            {"schemes": [{"pattern": "intermediate.dense", "scheme": "static"}]},
            UsageError,
            r"schemes: .*intermediate\.dense: static needs calibration data; give --calib",
        ),
        (
            {"mode": "dynamic", "calib": FILE, "schemes": [{"pattern": "dense", "scheme": "blockwise"}]},
            UsageError,
            r"would not use --calib .*; leave it out",
        ),
        (
            {"schemes": [{"pattern": "qery", "scheme": "dynamic"}]},
            RecipeError,
            r"^schemes: the pattern 'qery'",
        ),
        ({"mode": "static", "smooth_quant": 1.5}, UsageError, r"alpha lies between 0 and 1"),
        ({"outlier_channels": "auto"}, UsageError, r"--outlier-channels auto: is for static layers"),
        ({"split_channels": "auto"}, UsageError, r"--split-channels auto: is for static layers"),
        (
            {"mode": "static", "split_channels": "auto", "smooth_quant": "off"},
            UsageError,
            r"--split-channels auto: does nothing without smoothing",
        ),
        (
            {"mode": "static", "split_channels": "auto", "outlier_channels": "auto"},
            UsageError,
            r"--split-channels auto and --outlier-channels auto are two ways",
        ),
        (
            {"mode": "static", "outlier_channels": "auto", "calib_method": "mse"},
            UsageError,
            r"--outlier-channels auto: .* --calib-method mse would be of all channels",
        ),
        ({"keep": ("*.dense", "self.*", "qa_outputs")}, QuantizationError, r"keep_float spares every layer"),
        ({"mode": "static", "calib": None}, UsageError, r"static quantization needs calibration data"),
        ({"calib": "squad"}, UsageError, r"would not use --calib squad"),
        ({"mode": "static", "calib_questions": 0}, DatasetError, r"cannot calibrate on 0 questions"),
        ({"mode": "static", "calib_questions": 7}, DatasetError, r"has 6 questions to calibrate on, not 7"),
        ({"mode": "static", "calib": "sqaud"}, DatasetError, r"did you mean 'squad'"),
    ],
)
def test_mistakes(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    span_questions: Path,
    changes: dict[str, Any],
    error: type[QuantkitError],
    match: str,
) -> None:
    """Each mistake is one clear line, and nothing is written."""
    if changes.get("calib") == FILE:
        changes = {**changes, "calib": str(span_questions), "calib_questions": 6}
    source, chosen = make_encoder_artifact(), settings(**changes)
    refuse(lambda: quantize(source, tmp_path / "int8", settings=chosen), tmp_path / "int8", error, match)
    assert not (tmp_path / "int8").exists()


def test_int8_already(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """An INT8 artifact is not quantized again."""
    made = quantize(make_encoder_artifact(), tmp_path / "int8", settings=settings())
    out = tmp_path / "again"
    refuse(lambda: quantize(made, out, settings=settings()), out, ArtifactError, "is INT8 already")


@pytest.mark.parametrize("weight", [f"{LAYER}.output.dense.weight", f"{TABLES[0]}.weight"])
def test_broken_weights(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path, weight: str
) -> None:
    """NaN in a weight or table names it."""
    source, out = make_encoder_artifact(nan=weight), tmp_path / "int8"
    name = weight.removesuffix(".weight").replace(".", r"\.")
    refuse(lambda: quantize(source, out, settings=settings()), out, QuantizationError, f"{name}: holds NaN")


def test_failure_keeps_what_was_there(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """A failed run with force leaves the old artifact, and without force a full folder is refused at once."""
    source, out = make_encoder_artifact(), tmp_path / "int8"
    old = quantize(source, out, settings=settings())
    broken = make_encoder_artifact("broken", nan=f"{LAYER}.output.dense.weight")
    refuse(lambda: quantize(source, out, settings=settings()), out, OutputError, "is not empty")
    with pytest.raises(QuantizationError):
        quantize(broken, out, settings=settings(), force=True)
    assert Artifact.open(out).digest == old.digest


def test_layer_that_would_run_in_float(
    make_encoder_artifact: Make,
    settings: Callable[..., QuantizeSettings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layer that was to be quantized and is executed in float is an error that names layer and kernel."""
    monkeypatch.setattr(stage, "apply", lambda *args: {})
    source, out = make_encoder_artifact(), tmp_path / "int8"
    match = r"attention\.self\.query: was quantized \(dynamic\), but onnxruntime executes MatMul;"
    refuse(lambda: quantize(source, out, settings=settings()), out, QuantizationError, match)


def test_tokenizer_of_another_model(
    make_encoder_artifact: Make, settings: Callable[..., QuantizeSettings], tmp_path: Path
) -> None:
    """Calibrating with another vocabulary's tokenizer is refused."""
    made = make_encoder_artifact()
    with new_artifact(tmp_path / "other") as draft:
        shutil.copy(made.model_path, draft.model_path)
        draft.take_companions(made.path)
        (draft.path / "vocab.txt").write_text(
            "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n" + "\n".join(map(str, range(9000)))
        )
        draft.record(
            task=made.task, architecture="bert", precision="fp32", stages=made.manifest.stages, parent=None
        )
    source, out = Artifact.open(tmp_path / "other"), tmp_path / "int8"
    refuse(
        lambda: quantize(source, out, settings=settings("static")), out, CheckpointError, "has 9005 tokens"
    )


@pytest.mark.real
@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_real(shared: Path, minilm_fp32: Artifact, tmp_path: Path, mode: str) -> None:
    """The trained MiniLM: 37 layers and 3 tables in INT8, 22.6 M parameters in at most 28 MB."""
    from quantkit.stages.inspect import inspect

    content = {
        "mode": mode,
        "calib": "squad" if mode == "static" else None,
        "calib_questions": 8,
        "plain": True,
    }
    made = quantize(
        minilm_fp32,
        tmp_path / "int8",
        settings=QuantizeSettings.model_validate(content),
        data_dir=shared / "data",
    )
    facts = facts_of(made)
    assert (facts["int8_coverage"], facts["quantized_layers"]) == (1.0, 37)
    assert facts["quantized_tables"] == TABLES
    assert made.model_bytes <= 28_000_000
    found = inspect(made)
    assert (found.parameters, found.int8_embedding_share) == (22_566_146, 1.0)
    assert found.fused == found.expected_fusions
    if mode == "static":
        assert facts["calibration"]["questions"] == 8
        assert len(json.loads((made.path / "calibration.json").read_text())["ranges"]) == 37
