"""Calibration: what is counted, that nothing but the data decides, and what is done with the cache."""

import io
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import DatasetError, EvaluationError
from quantkit.files import cache_folder
from quantkit.graph.linear import linear_layers
from quantkit.quantization.affine import affine_uint8
from quantkit.quantization.observe import calibration
from quantkit.quantization.observe.cache import calibration_key
from quantkit.quantization.observe.calibration import calibrate, observe
from quantkit.quantization.observe.histogram import Histogram
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.quantization.observe.range import Range
from quantkit.quantization.observe.ranges import METHODS
from quantkit.quantization.observe.statistics import Detail
from quantkit.runtime.cpu import CpuFacts


@dataclass(frozen=True, kw_only=True)
class Row:
    """Token ids and token types."""

    input_ids: np.ndarray
    token_type_ids: np.ndarray


def row(*ids: int) -> Row:
    """Return a row of these tokens."""
    array = np.asarray(ids, np.int64)
    return Row(input_ids=array, token_type_ids=np.zeros_like(array))


def random_rows(count: int, longest: int = 60) -> list[Row]:
    """Return rows of any length from 1."""
    random = np.random.default_rng(count)
    return [row(*random.integers(1, 40, random.integers(1, longest + 1))) for _ in range(count)]


def run_of(rows: list[Row], method: str = "percentile") -> CalibrationJob:
    """Return a calibration on these rows."""
    return CalibrationJob(rows=rows, pad_id=0, method=method, percentile=99.0)


@pytest.fixture
def table(bench: Any) -> np.ndarray:
    """Return the embedding table: the padding token has by far the largest values."""
    table = bench.normal(40, 32, seed=1)
    table[0] = 1000.0
    return np.asarray(table)


@pytest.fixture
def model(bench: Any, table: np.ndarray) -> ir.Model:
    """Return a graph of two layers: the first reads embeddings, the second their tanh, halved."""
    weights = {
        "words_weight": table,
        "half": np.asarray(0.5, np.float32),
        "a_weight": bench.normal(32, 32, seed=2),
        "b_weight": bench.normal(32, 2, seed=3),
    }
    body = """
        x = Gather (words_weight, input_ids) h = MatMul (x, a_weight)
        bent = Tanh (x) halved = Mul (bent, half) left = MatMul (halved, b_weight)
        right = MatMul (h, b_weight) logits = Add (left, right)
    """
    built = bench.build(body, weights)
    # One head is enough: both products share a weight, but not a name.
    [node for node in built.graph if node.op_type == "MatMul"][-1].name = "b2"
    return built


def tensors(model: ir.Model) -> list[ir.Value]:
    """Return the inputs of the two layers that read embeddings."""
    values = {layer.activation.name: layer.activation for layer in linear_layers(model.graph)}
    return [values["x"], values["halved"]]


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function after whose call no session can be opened."""

    def refuse(*args: object, **options: object) -> NoReturn:
        pytest.fail("a session was opened")

    return lambda: monkeypatch.setattr(calibration, "Session", refuse)


def set_cores(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """Make the machine have this many cores."""
    facts = CpuFacts(model="any", machine="x86_64", cores=cores, instruction_sets=())
    monkeypatch.setattr(calibration, "cpu_facts", lambda: facts)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_equals_numpy(model: ir.Model, table: np.ndarray, method: str) -> None:
    """Ranges are those of the values computed by hand, at any length, and padding is nowhere in them."""
    rows = random_rows(12)
    found = calibrate(model, tensors(model), run_of(rows, method), key="k")
    embedded = np.concatenate([table[entry.input_ids] for entry in rows])
    for name, values, tolerance in (("x", embedded, 0.0), ("halved", np.tanh(embedded) / 2, 1e-6)):
        histogram = Histogram()
        histogram.add(values.astype(np.float32))
        low, high = METHODS[method](histogram, 99.0)
        # A bin of these values is 2^-12 wide; a value at its edge may fall to the other side of it.
        slack = 0.0 if not tolerance else 2.0**-9
        expected = {"low": low, "high": high}
        actual = {"low": found[name].low, "high": found[name].high}
        assert actual == pytest.approx(expected, abs=slack)
        seen = {"low": float(values.min()), "high": float(values.max())}
        assert seen == pytest.approx(
            {"low": found[name].seen_low, "high": found[name].seen_high}, abs=tolerance
        )
    assert found["x"].seen_high < 1000


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_threads_and_order_do_not_matter(
    model: ir.Model, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """1, 2 and 3 threads and any order of rows give the same ranges to the last bit."""
    rows = random_rows(15)
    found = []
    for cores, order in ((1, rows), (2, rows[::-1]), (3, rows[5:] + rows[:5])):
        set_cores(monkeypatch, cores)
        found.append(calibrate(model, tensors(model), run_of(order, method), key=f"{cores}"))
    assert found[0] == found[1] == found[2]


def test_the_model_is_left_as_it_was(model: ir.Model, bench: Any) -> None:
    """Outputs, nodes and results are the same afterwards, and also after a failure."""
    expected = bench.compute(model)
    calibrate(model, tensors(model), run_of(random_rows(2)), key="k")
    assert [output.name for output in model.graph.outputs] == ["logits"]
    np.testing.assert_array_equal(bench.compute(model), expected)


def test_cache(model: ir.Model, no_session: Callable[[], None]) -> None:
    """The same key is answered without opening a session; another key is not."""
    first = calibrate(model, tensors(model), run_of(random_rows(3)), key="one")
    no_session()
    assert calibrate(model, tensors(model), run_of(random_rows(3)), key="one") == first
    with pytest.raises(pytest.fail.Exception, match="a session was opened"):
        calibrate(model, tensors(model), run_of(random_rows(3)), key="two")


GOOD = {"low": -1.0, "high": 1.0, "seen_low": -1.0, "seen_high": 1.0}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"key": "k"',
        b"\xff\xfe",
        json.dumps({"key": "another", "ranges": {"x": GOOD, "halved": GOOD}}),
        json.dumps({"key": "k", "ranges": {"x": GOOD}}),
        json.dumps({"key": "k", "ranges": {"x": GOOD, "halved": {**GOOD, "low": 2.0}}}),
        json.dumps({"key": "k", "ranges": {"x": GOOD, "halved": {**GOOD, "low": "a"}}}),
        json.dumps({"key": "k", "ranges": {"x": GOOD, "halved": {**GOOD, "low": None}}}),
        json.dumps({"key": "k", "ranges": {"x": GOOD, "halved": {**GOOD, "high": float("inf")}}}),
        json.dumps({"key": "k", "ranges": {"x": GOOD, "halved": {**GOOD, "more": 1.0}}}),
        json.dumps({"key": "k", "ranges": {"x": GOOD, "halved": [1.0, 2.0]}}),
    ],
)
def test_broken_cache_is_computed_again(model: ir.Model, content: str | bytes) -> None:
    """A file that is not whole, not ordered or of another calibration is ignored and replaced."""
    expected = calibrate(model, tensors(model), run_of(random_rows(3)), key="k")
    path = cache_folder() / "calibration" / "k.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert calibrate(model, tensors(model), run_of(random_rows(3)), key="k") == expected
    assert json.loads(path.read_text())["key"] == "k"


def test_key() -> None:
    """The key changes with the model, the data and each setting."""
    base = ("m", "d", {"method": "mse", "percentile": 99.0})
    others = [("n", *base[1:]), ("m", "e", base[2]), ("m", "d", {"method": "minmax", "percentile": 99.0})]
    keys = {calibration_key(*base), *(calibration_key(*other) for other in others)}
    assert len(keys) == 4
    assert calibration_key(*base) == calibration_key("m", "d", dict(reversed(base[2].items())))


@pytest.mark.parametrize("rows", [[], [row()], [row(0, 0, 0), row(0)]])
def test_nothing_but_padding(model: ir.Model, rows: list[Row]) -> None:
    """No row, an empty row and rows of padding are a mistake in the data."""
    with pytest.raises(DatasetError, match="nothing but padding"):
        calibrate(model, tensors(model), run_of(rows), key="k")


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_nan_activation(model: ir.Model, table: np.ndarray, method: str) -> None:
    """NaN in an observed activation names the tensor and the row, and leaves no cache behind."""
    table = table.copy()
    table[7] = np.nan
    model.graph.initializers["words_weight"].const_value = ir.tensor(table, name="words_weight")
    with pytest.raises(EvaluationError, match=r"holds NaN or Infinity for calibration row 1"):
        calibrate(model, tensors(model), run_of([row(1, 2), row(3, 7)], method), key="k")
    assert not (cache_folder() / "calibration" / "k.json").exists()
    assert [output.name for output in model.graph.outputs] == ["logits"]


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_memory_does_not_grow_with_rows(
    model: ir.Model, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What is kept after 200 rows is no larger than after 20: two histograms."""
    kept = []
    original = calibration._Histograms.consume
    lock = threading.Lock()

    def consume(self: Any, batch: Any, outputs: tuple[np.ndarray, ...]) -> None:
        original(self, batch, outputs)
        with lock:
            kept.append(sum(histogram.counts.nbytes for histogram in self.histograms))

    monkeypatch.setattr(calibration._Histograms, "consume", consume)
    for count in (20, 200):
        kept.clear()
        calibrate(model, tensors(model), run_of(random_rows(count), method), key=f"{count}")
        assert len(kept) == count
        # Two histograms of at most 8192 counts of 8 bytes, whatever the number of rows.
        assert max(kept) <= 2 * 8192 * 8


def test_workers_are_bounded_by_memory(model: ir.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """When two rows would pass the limit, one worker with all cores runs them one by one."""
    opened: list[tuple[int, int]] = []
    original_session, original_run = calibration.Session, calibration.run_each

    def session(path: Path, *, outputs: tuple[str, ...], threads: int, name: str | None) -> Any:
        opened.append((threads, 0))
        return original_session(path, outputs=outputs, threads=threads, name=name)

    def run_each(engine: Any, job: Any, consume: Any, *, label: str) -> None:
        opened[-1] = (opened[-1][0], engine.workers)
        original_run(engine, job, consume, label=label)

    monkeypatch.setattr(calibration, "Session", session)
    monkeypatch.setattr(calibration, "run_each", run_each)
    set_cores(monkeypatch, 2)
    rows = [row(*range(1, 40)) for _ in range(4)]
    calibrate(model, tensors(model), run_of(rows), key="wide")
    # Two tensors of 32 floats a token, 39 tokens: 9,984 bytes a row.
    monkeypatch.setattr(calibration, "_MEMORY_LIMIT", 2 * 9984 - 1)
    calibrate(model, tensors(model), run_of(rows), key="narrow")
    assert opened == [(1, 2), (2, 1)]


def test_range_as_json() -> None:
    """A range is written as the four numbers it is read from."""
    entry = Range(low=-1.0, high=2.0, seen_low=-3.0, seen_high=4.0)
    assert Range(**entry.as_json()) == entry


@pytest.mark.parametrize("cached", [False, True])
def test_nothing_is_left_in_the_graph(model: ir.Model, cached: bool) -> None:
    """The file written after calibrating is the same with and without the cache: types put on tensors go again."""
    before = ir.to_proto(model).SerializeToString()
    if cached:
        calibrate(model, tensors(model), run_of(random_rows(2)), key="k")
    calibrate(model, tensors(model), run_of(random_rows(2)), key="k")
    assert ir.to_proto(model).SerializeToString() == before


def test_observed_statistics(model: ir.Model, table: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass gives extremes, means and moments of what the rows hold; threads change nothing to the last bit."""
    rows = random_rows(12)
    found = []
    for cores in (1, 3):
        set_cores(monkeypatch, cores)
        found.append(observe(model, tensors(model), run_of(rows), key=f"{cores}", detail=Detail.MOMENTS))
    embedded = np.concatenate([table[entry.input_ids] for entry in rows])
    seen = found[0]["x"]
    np.testing.assert_array_equal(embedded.min(axis=0), seen.low)
    np.testing.assert_array_equal(embedded.max(axis=0), seen.high)
    np.testing.assert_allclose(seen.mean, embedded.mean(axis=0, dtype=np.float64), atol=1e-12)
    assert seen.moment is not None
    # Sums of a few hundred products in float32.
    np.testing.assert_allclose(seen.moment, embedded.T @ embedded / len(embedded), atol=1e-5)
    bent = found[0]["halved"]
    np.testing.assert_allclose(bent.high, (np.tanh(embedded) / 2).max(axis=0), atol=1e-6)
    for name in ("x", "halved"):
        for what in ("low", "high", "mean", "square", "moment", "sample"):
            np.testing.assert_array_equal(getattr(found[0][name], what), getattr(found[1][name], what))


def test_observing_nothing(model: ir.Model, no_session: Callable[[], None]) -> None:
    """When no tensor is asked for, nothing runs."""
    no_session()
    assert observe(model, [], run_of(random_rows(3)), key="k", detail=Detail.CHANNELS) == {}


def test_statistics_cache(model: ir.Model, no_session: Callable[[], None]) -> None:
    """Vectors are answered from the cache, also those of a pass with moments; moments are computed again."""
    rows = run_of(random_rows(3))
    first = observe(model, tensors(model), rows, key="one", detail=Detail.MOMENTS)
    no_session()
    again = observe(model, tensors(model), rows, key="one", detail=Detail.CHANNELS)
    for name, seen in first.items():
        for what in ("low", "high", "mean", "square", "tokens"):
            np.testing.assert_array_equal(getattr(seen, what), getattr(again[name], what))
        assert again[name].moment is None
    for key, detail in (("two", Detail.CHANNELS), ("one", Detail.MOMENTS)):
        with pytest.raises(pytest.fail.Exception, match="a session was opened"):
            observe(model, tensors(model), rows, key=key, detail=detail)


def array_file(array: np.ndarray) -> bytes:
    """Return a file of one array rather than of several."""
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: b"nothing of the kind",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(content[300:310], b"0123456789"),
        lambda content: array_file(np.ones(3)),
        lambda content: array_file(np.array([{}], dtype=object)),
        lambda content: content.replace("halved".encode("utf-32-le"), "halted".encode("utf-32-le")),
    ],
)
def test_broken_statistics_are_computed_again(model: ir.Model, spoil: Callable[[bytes], bytes]) -> None:
    """A file that is not whole, of another kind or of other tensors is ignored and replaced."""
    rows = run_of(random_rows(3))
    observe(model, tensors(model), rows, key="k", detail=Detail.CHANNELS)
    path = cache_folder() / "calibration" / "k-statistics.npz"
    good = path.read_bytes()
    path.write_bytes(spoil(good))
    found = observe(model, tensors(model), rows, key="k", detail=Detail.CHANNELS)
    assert list(found) == ["x", "halved"]
    with np.load(path, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["0.mean"], found["x"].mean)


@given(low=st.floats(-1e4, 1e4, width=32), high=st.floats(-1e4, 1e4, width=32))
def test_around_zero(low: float, high: float) -> None:
    """A symmetric range holds what the range did, with zero at level 128."""
    found = Range(low=low, high=high, seen_low=low, seen_high=high).around_zero()
    largest = max(abs(low), abs(high))
    assert found.low <= -largest <= largest <= found.high
    scale, zero = affine_uint8(found.low, found.high)
    if largest > 1e-30:
        assert zero == 128
        assert scale == pytest.approx(largest / 127, rel=1e-6)
