"""Noise: what numpy says a choice does to a group's output is what onnxruntime does."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx.helper
import onnx.numpy_helper
import onnx_ir as ir
import onnxruntime
import pytest

from quantkit.graph.linear import Linear, linear_layers
from quantkit.mixed_precision.noise import Noise, best_range, float_outputs, measure_noise
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.grids import GRIDS
from quantkit.quantization.observe.observations import Observations
from quantkit.quantization.observe.range import RangeRule
from quantkit.quantization.observe.statistics import Detail, Statistics, StatisticsObserver
from quantkit.quantization.treatments.outliers import Outliers
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split
from quantkit.quantization.treatments.treated import Treated
from quantkit.quantization.write.apply import apply
from quantkit.runtime.batching import Batch

pytestmark = pytest.mark.avx2

CHANNELS, TOKENS = 256, 512
STATIC, DYNAMIC = Choice(scheme="static"), Choice(scheme="dynamic")
GPTQ = Choice(scheme="static", treatments=(Smooth(),), rounding="gptq", bias_correction=True)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Two layers that read one tensor x, and what calibration saw of it."""

    model: ir.Model
    values: np.ndarray
    treated: Treated

    @property
    def layers(self) -> list[Linear]:
        """The layers, not smoothed."""
        return linear_layers(self.model.graph)

    def noise(self, choice: Choice) -> Noise:
        """Return what is measured in numpy."""
        return measure_noise(float_outputs("x", self.layers, self.treated), choice, self.treated)

    def executed(self, choice: Choice) -> float:
        """Return the noise of the quantized graph run in onnxruntime on all tokens at once."""
        found = [self.run({}), self.run({"a": choice, "b": choice})]
        return float(np.square(found[1] - found[0], dtype=np.float64).sum() / len(self.values))

    def run(self, assignment: Mapping[str, Choice]) -> np.ndarray:
        """Return both layers' outputs, side by side."""
        model = self.model.clone()
        if assignment:
            apply(model, assignment, self.treated)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
        return np.concatenate(session.run(None, {"x": self.values[None]}), axis=2)[0]


def statistics_of(values: np.ndarray) -> Statistics:
    """Return the statistics of tokens; the sample is all of them when there are no more than 1,024."""
    batch = Batch(indices=(0,), length=len(values))
    observer = StatisticsObserver(["x"], [batch], detail=Detail.MOMENTS)
    observer.consume(batch, (values[None],))
    return observer.statistics()["x"]


def bench_of(values: np.ndarray, *, unread: int | None = None) -> Bench:
    """Return the layers a and b, which read these values, all channels of them but `unread`."""
    random = np.random.default_rng(1)
    channels = values.shape[1]
    nodes, initializers = [], []
    for name, width in (("a", 24), ("b", 8)):
        weight = random.normal(size=(channels, width)).astype(np.float32) / 8
        if unread is not None:
            weight[unread] = 0
        initializers.append(onnx.numpy_helper.from_array(weight, f"{name}_weight"))
        nodes.append(onnx.helper.make_node("MatMul", ["x", f"{name}_weight"], [f"{name}_y"], name=name))
    shape = ["batch", "sequence"]
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "layers",
        [onnx.helper.make_tensor_value_info("x", floats, [*shape, channels])],
        [onnx.helper.make_tensor_value_info(f"{n}_y", floats, [*shape, w]) for n, w in (("a", 24), ("b", 8))],
        initializers,
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    proto = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    treated = Treated(observations=Observations(statistics={"x": statistics_of(values)}))
    return Bench(model=ir.from_proto(proto), values=values, treated=treated)


@pytest.fixture(scope="module")
def bench() -> Bench:
    """Return layers whose input has four channels 30 times as large as the others, which are correlated."""
    random = np.random.default_rng(0)
    values = random.normal(size=(TOKENS, CHANNELS)) + random.normal(size=(TOKENS, 8)) @ random.normal(
        size=(8, CHANNELS)
    )
    values[:, :4] *= 30
    return bench_of(values.astype(np.float32))


def test_float_has_none(bench: Bench) -> None:
    """A layer that stays float has no noise, and the signal is the mean square of its outputs."""
    found = bench.noise(FLOAT)
    assert (found.noise, found.sqnr_db) == (0.0, 300.0)
    outputs = [bench.values.astype(np.float64) @ layer.matrix() for layer in bench.layers]
    expected = sum(float(np.square(output).sum()) for output in outputs) / TOKENS
    assert found.signal == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "choice",
    [
        STATIC,
        Choice(scheme="static", range=RangeRule(symmetric=True)),
        Choice(scheme="static", treatments=(Smooth(0.5),)),
        Choice(scheme="static", rounding="gptq"),
        Choice(scheme="static", bias_correction=True),
        GPTQ,
        Choice(scheme="static", treatments=(Outliers(4),)),
        replace(GPTQ, treatments=(Outliers(6), Smooth())),
        replace(GPTQ, treatments=(Split(5), Smooth())),
    ],
    ids=[
        "plain",
        "symmetric",
        "smooth",
        "gptq",
        "bias",
        "all",
        "outliers",
        "all and outliers",
        "all and split",
    ],
)
def test_static_is_what_onnxruntime_does(bench: Bench, choice: Choice, weight_type: str) -> None:
    """Static noise is that of the quantized graph within 1 %."""
    choice = replace(choice, grid=GRIDS[weight_type])
    # Sums of 256 products in float32 in another order, and values that lie between two levels.
    assert bench.executed(choice) == pytest.approx(bench.noise(choice).noise, rel=0.01)


@pytest.mark.parametrize("block_size", [32, 256])
def test_blockwise_is_what_onnxruntime_does(bench: Bench, block_size: int) -> None:
    """Block-wise noise is that of the quantized graph within 5 %: its kernels may scale activations otherwise."""
    choice = Choice(scheme="blockwise", block_size=block_size)
    assert bench.executed(choice) == pytest.approx(bench.noise(choice).noise, rel=0.05)


@pytest.mark.parametrize("choice", [DYNAMIC, replace(GPTQ, scheme="dynamic")])
def test_dynamic_is_what_onnxruntime_does(bench: Bench, choice: Choice, exact_grid: str) -> None:
    """A dynamic range is that of a batch: with one as large as the sample noise is the same within 1 %."""
    choice = replace(choice, grid=GRIDS[exact_grid])
    assert bench.executed(choice) == pytest.approx(bench.noise(choice).noise, rel=0.01)


def test_order_of_the_schemes(bench: Bench) -> None:
    """With outlier channels small blocks err less than large ones, smoothing less than plain, GPTQ less yet."""
    blocks = [bench.noise(Choice(scheme="blockwise", block_size=size)).noise for size in (32, 128, 256)]
    assert blocks == sorted(blocks)
    smooth = Choice(scheme="static", treatments=(Smooth(),))
    noises = [bench.noise(choice).noise for choice in (GPTQ, smooth, STATIC)]
    assert noises == sorted(noises)
    assert noises[0] < 0.5 * noises[2]
    assert blocks[0] < 0.5 * noises[2]
    # The range of all tokens at once is the same, calibrated or not.
    assert bench.noise(DYNAMIC).noise == pytest.approx(noises[2], rel=1e-6)
    found = bench.noise(smooth)
    assert found.sqnr_db == pytest.approx(10 * np.log10(found.signal / found.noise))


def test_order_of_the_grids(bench: Bench) -> None:
    """The pair limit makes more noise than int8 and less than 7 bits; uint8 rounds weights to the same levels."""
    found = {name: bench.noise(replace(GPTQ, grid=grid)).noise for name, grid in GRIDS.items()}
    assert found["int8"] < found["int8-pairs"] < found["int7"]
    assert found["uint8"] == pytest.approx(found["int8"], rel=1e-6)


@pytest.mark.parametrize("tokens", [1, 3, 9])
def test_few_tokens(tokens: int) -> None:
    """A pooled layer may have few tokens, even one: noise is measured all the same."""
    values = np.random.default_rng(4).normal(size=(tokens, CHANNELS)).astype(np.float32)
    small = bench_of(values)
    for choice in (STATIC, DYNAMIC, GPTQ, Choice(scheme="blockwise", block_size=32)):
        assert 0 < small.noise(choice).noise < small.noise(choice).signal


def test_blocks_that_do_not_divide_the_width() -> None:
    """The last block may be short."""
    values = np.random.default_rng(4).normal(size=(64, 40)).astype(np.float32)
    small = bench_of(values)
    choice = Choice(scheme="blockwise", block_size=32)
    assert small.executed(choice) == pytest.approx(small.noise(choice).noise, rel=0.05)


def test_best_range(bench: Bench) -> None:
    """The range minmax is left only for a method that saves half of the noise: what is clipped must hardly matter."""
    assert best_range("x", bench.layers, STATIC, bench_of(np.clip(bench.values, -1, 1)).treated) == STATIC
    values = np.random.default_rng(3).normal(size=(1024, CHANNELS)).astype(np.float32)
    values[5, 7] = 60
    for unread, method in ((None, "minmax"), (7, "percentile")):
        outlier = bench_of(values, unread=unread)
        chosen = best_range("x", outlier.layers, STATIC, outlier.treated)
        assert replace(STATIC, range=RangeRule(method=method)) == chosen
