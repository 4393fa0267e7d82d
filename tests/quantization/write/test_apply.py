"""Assignments: layers of one graph computed in different ways, by integer kernels, near float, the same every time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.files import cache_folder
from quantkit.graph.linear import linear_layers
from quantkit.quantization.choice import FLOAT, Choice, grouped
from quantkit.quantization.grids import GRIDS, INT8, Grid
from quantkit.quantization.observe import calibration
from quantkit.quantization.observe.calibration import observe
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.quantization.observe.observations import Observations
from quantkit.quantization.observe.range import Range, RangeRule
from quantkit.quantization.observe.ranges import METHODS
from quantkit.quantization.treatments.outliers import FloatChannels, Outliers
from quantkit.quantization.treatments.reading import Reading
from quantkit.quantization.treatments.smooth import Factors, Smooth
from quantkit.quantization.treatments.treated import Treated
from quantkit.quantization.write.apply import apply

pytestmark = pytest.mark.avx2

STATIC, DYNAMIC = Choice(scheme="static"), Choice(scheme="dynamic")
SMOOTH = Choice(scheme="static", treatments=(Smooth(),))
OUTLIERS = Choice(scheme="static", treatments=(Outliers(2),), rounding="gptq", bias_correction=True)
BLOCKWISE = Choice(scheme="blockwise", block_size=16)
# Root mean square error after four 8-bit layers in a row, as a share of the logits' standard deviation.
NEAR = 0.04
LAYERS = ("query", "key", "value", "output", "inner", "head")


@dataclass(frozen=True, kw_only=True)
class Row:
    """Token ids and token types."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray


def random_rows(count: int = 24) -> list[Row]:
    """Return rows of 5 to 20 tokens."""
    random = np.random.default_rng(count)
    ids = [random.integers(1, 40, random.integers(5, 21)) for _ in range(count)]
    return [Row(input_ids=row, token_type_ids=np.zeros_like(row)) for row in ids]


@pytest.fixture
def grid(exact_grid: str) -> Grid:
    """Return a grid for tests that run what they quantize."""
    return GRIDS[exact_grid]


@pytest.fixture
def encoder(bench: Any) -> ir.Model:
    """Return a graph with attention, a layer behind Tanh and a head; one channel of the embeddings sticks out."""
    weights = {f"{name}_weight": bench.normal(32, 32, seed=n, scale=0.18) for n, name in enumerate(LAYERS)}
    weights["head_weight"] = bench.normal(32, 2, seed=9)
    weights |= {"bias": bench.normal(96, seed=7), "inner_bias": bench.normal(32, seed=6)}
    weights["words_weight"] = bench.normal(40, 32, seed=8)
    weights["words_weight"][:, 3] *= 8
    projections = " ".join(f"{name} = MatMul (x, {name}_weight)" for name in LAYERS[:3])
    body = f"""
        x = Gather (words_weight, input_ids) {projections}
        mixed = com.microsoft.MultiHeadAttention <num_heads = 4> (query, key, value, bias)
        output = MatMul (mixed, output_weight) rest = Add (output, x)
        bent = Tanh (rest) inner = MatMul (bent, inner_weight) biased = Add (inner, inner_bias)
        active = Tanh (biased) logits = MatMul (active, head_weight)
    """
    model: ir.Model = bench.build(body, weights)
    next(node for node in model.graph if node.op_type == "MultiHeadAttention").name = "attention"
    return model


def treated_of(model: ir.Model, assignment: Mapping[str, Choice]) -> Treated:
    """Return what calibration sees for an assignment, as `observe_model` does."""
    wanted = [layer for layer in linear_layers(model.graph) if assignment[layer.name].calibrated]
    tensors = list({layer.activation.name: layer.activation for layer in wanted}.values())
    job = CalibrationJob(rows=random_rows(), pad_id=0)
    detail = max(choice.detail for choice in assignment.values())
    statistics = observe(model, tensors, job, key="k", detail=detail)
    return Treated(observations=Observations(statistics=statistics, job=job, key="k"))


def applied(
    model: ir.Model, *chosen: Choice, grid: Grid = INT8
) -> tuple[ir.Model, dict[str, Range], dict[str, Choice]]:
    """Return a quantized copy, its ranges and the assignment; one choice is for all layers."""
    of_grid = [replace(choice, grid=grid) for choice in chosen * (6 if len(chosen) == 1 else 1)]
    assignment = dict(zip(LAYERS, of_grid, strict=True))
    treated = treated_of(model, assignment)
    copy = model.clone()
    return copy, apply(copy, assignment, treated), assignment


def noise_of(bench: Any, model: ir.Model, expected: np.ndarray) -> float:
    """Return the root mean square error as a share of the expected values' standard deviation."""
    return float(np.sqrt(np.square(bench.compute(model) - expected).mean()) / expected.std())


def constant(model: ir.Model, name: str) -> np.ndarray:
    """Return an initializer."""
    value = model.graph.initializers[name].const_value
    assert value is not None
    return value.numpy()


MIXED = (STATIC, replace(SMOOTH, rounding="gptq"), FLOAT, SMOOTH, DYNAMIC, BLOCKWISE)


def test_every_scheme_in_one_graph(bench: Any, encoder: ir.Model, grid: Grid) -> None:
    """Each layer is executed as chosen under its name, and the result is within 4 % of float."""
    expected = bench.compute(encoder)
    model, ranges, assignment = applied(encoder, *MIXED, grid=grid)
    kernels = {layer.name: layer.kernel for layer in bench.trace(model).layers}
    integer = {"MatMulIntegerToFloat"}
    assert set(ranges) == {"query", "key", "output"}
    assert {kernels[name] for name in ("query", "key", "output")} == integer
    assert kernels["inner"] in {"MatMulIntegerToFloat", "DynamicQuantizeMatMul"}
    assert (kernels["value"], kernels["head"]) == ("MatMul", "MatMulNBits")
    assert list(assignment) == list(LAYERS)
    assert 0 < noise_of(bench, model, expected) < NEAR


@pytest.mark.parametrize("chosen", [(STATIC,), (SMOOTH,), (DYNAMIC,), (BLOCKWISE,), (OUTLIERS,), MIXED])
def test_the_same_bytes_every_time(encoder: ir.Model, chosen: tuple[Choice, ...]) -> None:
    """The same assignment gives the same graph to the last bit, with a cache and without."""
    found = []
    for clear in (False, False, True):
        if clear:
            for path in (cache_folder() / "calibration").glob("*"):
                path.unlink()
        found.append(ir.to_proto(applied(encoder, *chosen)[0]).SerializeToString(deterministic=True))
    assert found[0] == found[1] == found[2]


def test_statistics_do_not_depend_on_what_else_is_observed(encoder: ir.Model) -> None:
    """A recipe that observes fewer tensors than the search that found it gets the same graph."""
    assignment = dict(zip(LAYERS, MIXED, strict=True))
    found = []
    for seen in (assignment, dict.fromkeys(LAYERS, replace(SMOOTH, rounding="gptq"))):
        for path in (cache_folder() / "calibration").glob("*"):
            path.unlink()
        copy = encoder.clone()
        apply(copy, assignment, treated_of(encoder, seen))
        found.append(ir.to_proto(copy).SerializeToString(deterministic=True))
    assert found[0] == found[1]


def test_ranges_of_another_smoothing_are_not_taken(encoder: ir.Model) -> None:
    """Ranges by histogram depend on what is smoothed anywhere in the graph, and so does what the cache compares."""
    clipped = Choice(scheme="static", range=RangeRule(method="mse"))
    wanted = (SMOOTH, SMOOTH, SMOOTH, SMOOTH, clipped, clipped)
    alone = ir.to_proto(applied(encoder, *wanted)[0]).SerializeToString(deterministic=True)
    for path in (cache_folder() / "calibration").glob("*.json"):
        path.unlink()
    # Another smoothing leaves the function as it is but for rounding, which moves ranges in their last bits.
    applied(encoder, *(replace(choice, treatments=(Smooth(0.3),)) for choice in wanted[:4]), clipped, clipped)
    after = ir.to_proto(applied(encoder, *wanted)[0]).SerializeToString(deterministic=True)
    assert alone == after


@pytest.mark.parametrize("other", [FLOAT, DYNAMIC, BLOCKWISE, replace(SMOOTH, treatments=(Smooth(0.9),))])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_query_key_value_is_chosen_otherwise(
    bench: Any, encoder: ir.Model, other: Choice, place: int, grid: Grid
) -> None:
    """Layers of one tensor may differ: each reads it as its own choice says, and the result is near float."""
    expected = bench.compute(encoder)
    smooth, other = replace(SMOOTH, grid=grid), replace(other, grid=grid)
    chosen = [smooth] * 6
    chosen[place] = other
    model, ranges, assignment = applied(encoder, *chosen, grid=grid)
    groups = grouped(linear_layers(encoder.graph), assignment)
    alike = [name for name in LAYERS[:3] if assignment[name] == smooth]
    assert alike == [layer.name for layer in groups["x", smooth]]
    assert [LAYERS[place]] == [layer.name for layer in groups["x", other]]
    assert ranges[alike[0]] == ranges[alike[1]]
    assert (LAYERS[place] in ranges) is (other.scheme == "static")
    quantizers = sum(node.op_type == "QuantizeLinear" for node in model.graph)
    assert quantizers == (5 if other.scheme == "static" else 4)
    execution = {layer.name: layer for layer in bench.trace(model).layers}
    assert {name for name, layer in execution.items() if not layer.integer} == (
        {LAYERS[place]} if other.scheme == "float" else set()
    )
    assert noise_of(bench, model, expected) < NEAR


@pytest.mark.parametrize("smooth", [(), (Smooth(),), (Smooth(0.5),)], ids=["plain", "auto", "alpha"])
@pytest.mark.parametrize("method", ["minmax", *METHODS])
def test_ranges(encoder: ir.Model, method: str, smooth: Any) -> None:
    """The range is within what the smoothed tensor takes; minmax is all of it, and is what the file holds."""
    model, ranges, _ = applied(
        encoder,
        Choice(scheme="static", range=RangeRule(method=method, percentile=99.0), treatments=smooth),
    )
    assert list(ranges) == list(LAYERS)
    widest = applied(encoder, Choice(scheme="static", treatments=smooth))[1]
    for name, found in ranges.items():
        # Extremes are of the smoothed graph for histograms, and of the plain one divided by factors for minmax.
        assert widest[name].low == pytest.approx(found.seen_low, rel=1e-4)
        assert widest[name].high == pytest.approx(found.seen_high, rel=1e-4)
        assert min(found.seen_low, 0) <= found.low < found.high <= max(found.seen_high, 0)
    if method == "percentile":
        assert any(found.high < found.seen_high for found in ranges.values())
    scale = constant(model, "query.input_scale")
    assert float(scale) == pytest.approx((ranges["query"].high - ranges["query"].low) / 255, rel=1e-6)


@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_symmetric_ranges(bench: Any, encoder: ir.Model, method: str, grid: Grid) -> None:
    """Around zero the zero point is 128, the range as wide as the wider side, and the result near float."""
    expected = bench.compute(encoder)
    model, ranges, _ = applied(
        encoder, replace(SMOOTH, range=RangeRule(method=method, symmetric=True)), grid=grid
    )
    zeros = [constant(model, name) for name in model.graph.initializers if name.endswith(".input_zero_point")]
    assert [int(zero) for zero in zeros] == [128] * 4
    for found in ranges.values():
        assert found.low == pytest.approx(-found.high * 128 / 127, rel=1e-12)
    plain = applied(encoder, replace(SMOOTH, range=RangeRule(method=method)))[1]
    assert ranges["head"].high == max(-plain["head"].low, plain["head"].high)
    assert noise_of(bench, model, expected) < NEAR


@pytest.mark.parametrize("smooth", [(), (Smooth(),)], ids=["plain", "smooth"])
def test_outlier_channels(bench: Any, encoder: ir.Model, smooth: Any, grid: Grid) -> None:
    """The channel that sticks out is multiplied in float; the range is that of the others, and the error smaller."""
    expected = bench.compute(encoder)
    chosen = replace(OUTLIERS, treatments=(*OUTLIERS.treatments, *smooth))
    model, ranges, _ = applied(encoder, chosen, grid=grid)
    layers = bench.trace(model).layers
    assert {layer.name for layer in layers if not layer.integer} == {f"{name}.outliers" for name in LAYERS}
    assert {layer.shape[0] for layer in layers if not layer.integer} == {2}
    assert {layer.name for layer in layers if layer.integer} == set(LAYERS)
    assert 3 in constant(model, "query.outlier_channels")
    assert noise_of(bench, model, expected) < NEAR
    if not smooth:
        without, wide, _ = applied(encoder, replace(chosen, treatments=()), grid=grid)
        assert ranges["query"].high - ranges["query"].low < 0.3 * (wide["query"].high - wide["query"].low)
        assert noise_of(bench, model, expected) < 0.5 * noise_of(bench, without, expected)


def test_outlier_channels_of_one_layer(bench: Any, encoder: ir.Model, grid: Grid) -> None:
    """Only the layers that were given them read the tensor twice; the others keep it as it is."""
    expected = bench.compute(encoder)
    model, _, _ = applied(encoder, OUTLIERS, *[STATIC] * 5, grid=grid)
    gathered = [
        node.name for node in model.graph if node.op_type == "Gather" and "outliers" in (node.name or "")
    ]
    assert gathered == ["query.input_outliers"]
    assert noise_of(bench, model, expected) < NEAR


def last_layer_shift(bench: Any, encoder: ir.Model, chosen: Choice, grid: Grid) -> tuple[np.ndarray, float]:
    """Return the mean error of the logits with only the head quantized, and its root mean square."""
    model, _, _ = applied(encoder, *[FLOAT] * 5, chosen, grid=grid)
    errors = []
    for row in random_rows():
        ids = row.input_ids[None]
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        errors.append(bench.feed(model, feeds) - bench.feed(encoder, feeds))
    every = np.concatenate([error[0] for error in errors]).astype(np.float64)
    return every.mean(axis=0), float(np.sqrt(np.square(every).mean()))


@pytest.mark.parametrize("scheme", ["static", "dynamic"])
def test_gptq_and_bias_correction(bench: Any, encoder: ir.Model, scheme: Any) -> None:
    """On the calibration rows GPTQ errs less than nearest, and a corrected bias leaves no mean error to speak of."""
    coarse = GRIDS["int7"]
    plain = Choice(scheme=scheme)
    shift, size = last_layer_shift(bench, encoder, plain, coarse)
    corrected, _ = last_layer_shift(bench, encoder, replace(plain, bias_correction=True), coarse)
    # Static: the mean over a sample of all tokens here. Dynamic ranges are a row's own, which rounds otherwise.
    assert np.abs(corrected).max() < np.abs(shift).max() / (20 if scheme == "static" else 2)
    _, gptq = last_layer_shift(bench, encoder, replace(plain, rounding="gptq"), coarse)
    assert gptq < 0.9 * size


def test_moments_need_a_pass(encoder: ir.Model) -> None:
    """A calibrated choice of which nothing was seen is not guessed at."""
    copy = encoder.clone()
    with pytest.raises(KeyError):
        apply(copy, dict.fromkeys(LAYERS, STATIC), Treated())


def test_one_observation_serves_many_assignments(encoder: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applying one assignment after another with the same observations gives what each gives by itself."""
    several = [(SMOOTH,), MIXED, (replace(SMOOTH, rounding="gptq", bias_correction=True),), (STATIC,)]
    alone = [
        ir.to_proto(applied(encoder, *chosen)[0]).SerializeToString(deterministic=True) for chosen in several
    ]
    treated = treated_of(encoder, dict.fromkeys(LAYERS, replace(SMOOTH, rounding="gptq")))
    monkeypatch.setattr(calibration, "Session", None)
    for chosen, expected in zip(several, alone, strict=True):
        copy = encoder.clone()
        assignment: Mapping[str, Choice] = dict(
            zip(LAYERS, chosen * (6 if len(chosen) == 1 else 1), strict=True)
        )
        apply(copy, assignment, treated)
        assert ir.to_proto(copy).SerializeToString(deterministic=True) == expected


def test_extremes_after_smoothing(encoder: ir.Model) -> None:
    """Low and high are the widest of the smoothed channels."""
    seen = treated_of(encoder, dict.fromkeys(LAYERS, STATIC)).statistics["x"]
    factors = np.linspace(0.5, 2, 32, dtype=np.float32)
    found = Reading(whole=seen, decisions=(Factors(factors=factors),)).extremes()
    assert (float((seen.low / factors).min()), float((seen.high / factors).max())) == (found.low, found.high)
    assert (found.low, found.high) == (found.seen_low, found.seen_high)
    assert Reading(whole=seen).extremes().low == float(seen.low.min())
    widest = np.array([np.argmax(seen.magnitude)])
    others = np.delete(np.concatenate([seen.low, seen.high]).reshape(2, -1), widest, axis=1)
    narrower = Reading(whole=seen, decisions=(FloatChannels(channels=widest),)).extremes()
    assert (float(others.min()), float(others.max())) == (narrower.low, narrower.high)
    assert replace(found, low=-3.0, high=2.0).around_zero().high == 3.0
