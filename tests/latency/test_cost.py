"""Costs are of the kernels that were asked for, measured once, and kept."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from quantkit.errors import OutputError, QuantizationError, UsageError
from quantkit.files import cache_folder
from quantkit.latency import cost
from quantkit.latency.cost import CostRequest, measure_costs
from quantkit.mixed_precision import group_model
from quantkit.quantization.treatments.outliers import FloatChannels
from quantkit.quantization.treatments.smooth import Factors
from quantkit.quantization.treatments.split import Copies
from quantkit.quantization.write.schemes import SCHEMES

FLOAT = CostRequest(inputs=32, outputs=(16,), scheme="float")
SMOOTH = ("smooth_quant", "auto")
STATIC = CostRequest(inputs=32, outputs=(16, 16), scheme="static", treatments=(SMOOTH,))
DYNAMIC = CostRequest(inputs=32, outputs=(16,), scheme="dynamic")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[list[CostRequest]]:
    """Replace the measurement by one that counts from 1, and return the list of what it was asked for."""
    asked: list[list[CostRequest]] = []

    def measure(requests: Sequence[CostRequest], tokens: int, budget: float | None) -> dict[Any, float]:
        asked.append(list(requests))
        return {request: number + 1.0 for number, request in enumerate(requests)}

    monkeypatch.setattr(cost, "_measure", measure)
    return asked


def table() -> Path:
    """Return the one table there is."""
    (path,) = (cache_folder() / "cost").iterdir()
    return path


@pytest.mark.parametrize("grid", ["int8", "uint8"])
@pytest.mark.parametrize(
    ("scheme", "treatments"),
    [*((scheme, ()) for scheme in sorted(SCHEMES)), ("static", (SMOOTH,)), ("dynamic", (SMOOTH,))],
)
def test_every_scheme_is_measured(scheme: Any, treatments: Any, grid: str) -> None:
    """Every scheme of the table runs its own kernels for one layer and for several, smoothed or not."""
    block_size = 32 if scheme == "blockwise" else None
    requests = [
        CostRequest(
            inputs=64,
            outputs=outputs,
            scheme=scheme,
            treatments=treatments,
            block_size=block_size,
            grid=grid,
        )
        for outputs in ((2,), (48, 48, 32))
    ]

    costs = measure_costs(requests, tokens=8, seconds_budget=0)

    assert requests == list(costs)
    assert all(microseconds > 0 for microseconds in costs.values())


@pytest.mark.parametrize("smoothed", [(), (SMOOTH,)], ids=["plain", "smooth"])
def test_outliers_are_measured(smoothed: Any) -> None:
    """Static layers with outlier channels run in integer kernels, their outliers beside them."""
    request = CostRequest(
        inputs=64, outputs=(48, 32), scheme="static", treatments=(("outlier_channels", 8), *smoothed)
    )
    assert "static outliers 8, 64 to 48, 32" == str(request)
    assert measure_costs([request], tokens=8)[request] > 0


@pytest.mark.parametrize("smoothed", [(), (SMOOTH,)], ids=["plain", "smooth"])
def test_copies_are_measured(smoothed: Any) -> None:
    """Static layers with copied channels run in integer kernels that have a row for each copy."""
    request = CostRequest(
        inputs=64, outputs=(48, 32), scheme="static", treatments=(("split_channels", 16), *smoothed)
    )
    assert "static split 16, 64 to 48, 32" == str(request)
    assert measure_costs([request], tokens=8)[request] > 0


def test_costs_come_in_the_order_of_the_requests(measured: list[list[CostRequest]]) -> None:
    """The order is that of the requests, each once, whatever was in the cache before."""
    measure_costs([DYNAMIC], tokens=8)

    assert list(measure_costs([STATIC, DYNAMIC, FLOAT, STATIC], tokens=8)) == [STATIC, DYNAMIC, FLOAT]


def test_only_what_is_missing_is_measured(measured: list[list[CostRequest]]) -> None:
    """What the table knows is not measured again; another number of tokens has a table of its own."""
    first = measure_costs([FLOAT, STATIC], tokens=8)
    again = measure_costs([STATIC, FLOAT], tokens=8)
    more = measure_costs([FLOAT, DYNAMIC], tokens=8)

    assert measured == [[FLOAT, STATIC], [DYNAMIC]]
    assert again == first
    assert more == {FLOAT: first[FLOAT], DYNAMIC: 1.0}
    measure_costs([FLOAT], tokens=16)
    assert measured[2:] == [[FLOAT]]


def test_what_others_measured_meanwhile_stays(
    measured: list[list[CostRequest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that grew while this process measured keeps what it got."""
    plain = cost._measure

    def slow(requests: Sequence[CostRequest], tokens: int, budget: float | None) -> dict[CostRequest, float]:
        monkeypatch.setattr(cost, "_measure", plain)
        measure_costs([FLOAT], tokens=8)
        return plain(requests, tokens, budget)

    monkeypatch.setattr(cost, "_measure", slow)
    measure_costs([DYNAMIC], tokens=8)
    measure_costs([FLOAT, DYNAMIC], tokens=8)

    assert measured == [[FLOAT], [DYNAMIC]]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content.replace("1.0", "-1.0"),
        lambda content: content.replace("1.0", "NaN"),
        lambda content: content.replace("static", "statik"),
        lambda content: content.replace("quantkit/cost/1", "quantkit/cost/2"),
        lambda content: json.dumps({**json.loads(content), "key": "0" * 64}),
        lambda content: "",
    ],
)
def test_a_broken_table_is_measured_anew(measured: list[list[CostRequest]], change: Any) -> None:
    """A table that is cut, holds impossible numbers, or is of something else, is replaced by a good one."""
    measure_costs([STATIC], tokens=8)
    good = table().read_text()
    table().write_text(change(good))

    measure_costs([STATIC], tokens=8)

    assert measured == [[STATIC], [STATIC]]
    assert table().read_text() == good


def test_a_table_that_cannot_be_written_is_a_warning(
    measured: list[list[CostRequest]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a place for the table the costs are returned all the same."""

    def refuse(path: Path, value: Any) -> None:
        raise OutputError(f"{path}: the disk is full")

    monkeypatch.setattr(cost, "write_json", refuse)
    with caplog.at_level(logging.WARNING):
        assert measure_costs([FLOAT], tokens=8) == {FLOAT: 1.0}
    assert "the costs are not kept" in caplog.text


def test_a_float_kernel_is_not_taken_for_an_integer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rewrite that leaves a layer float is an error that says what is executed, and nothing is kept."""
    monkeypatch.setitem(SCHEMES, "static", SCHEMES["float"])

    with pytest.raises(QuantizationError, match=r"cost of static, 32 to 16, 16: onnxruntime executes MatMul"):
        measure_costs([STATIC], tokens=8)

    assert not (cache_folder() / "cost").exists()


def test_an_integer_kernel_is_not_taken_for_a_float_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The price of keeping a layer float is that of a float kernel."""
    monkeypatch.setitem(SCHEMES, "float", SCHEMES["dynamic"])
    monkeypatch.setattr(group_model, "INTEGER", tuple(SCHEMES))

    with pytest.raises(QuantizationError, match="which is no kernel of this scheme"):
        measure_costs([FLOAT], tokens=8)


def test_blockwise_that_computes_in_float_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """MatMulNBits is the name of a float kernel too: where the probe says float, it is no INT8 scheme."""
    monkeypatch.setattr(group_model, "multiplies_integers", lambda block_size, *, zero_points: False)

    with pytest.raises(QuantizationError, match="onnxruntime executes MatMulNBits for it"):
        measure_costs([CostRequest(inputs=64, outputs=(16,), scheme="blockwise", block_size=32)], tokens=8)


def test_lost_smoothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that was to have a Mul before it is not measured without."""
    monkeypatch.setattr(Factors, "rewrite", lambda *given: None)

    with pytest.raises(QuantizationError, match="without the Mul of smoothing"):
        measure_costs([STATIC], tokens=8)


def test_lost_outliers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group whose outliers were to be multiplied beside it is not measured without them."""
    monkeypatch.setattr(FloatChannels, "beside", lambda *given: None)

    with pytest.raises(QuantizationError, match="without the product of outliers"):
        measure_costs(
            [CostRequest(inputs=64, outputs=(16,), scheme="static", treatments=(("outlier_channels", 8),))],
            tokens=8,
        )


def test_lost_copies_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group whose channels were to be copied is not measured without the copies."""
    monkeypatch.setattr(Copies, "rewrite", lambda *given: None)

    with pytest.raises(QuantizationError, match="without the copies of channels"):
        measure_costs(
            [CostRequest(inputs=64, outputs=(16,), scheme="static", treatments=(("split_channels", 8),))],
            tokens=8,
        )


def candidate(seconds: Sequence[float]) -> Any:
    return cost._Candidate(request=FLOAT, session=None, binding=None, seconds=list(seconds))


def test_when_it_is_enough() -> None:
    """A spent budget ends it after five rounds; without one, it ends when half the rounds say the same."""
    steady, falling = candidate([1.0] * 20), candidate([2.0] * 10 + [1.0] * 10)

    assert [cost._is_enough([steady], rounds, 1.0, 0.5) for rounds in (4, 5)] == [False, True]
    assert [cost._is_enough([steady], rounds, 1.0, None) for rounds in (11, 12)] == [False, True]
    assert not cost._is_enough([steady, falling], 20, 1.0, 5.0)


def test_disturbed_rounds_do_not_count() -> None:
    """Two rounds in three may be disturbed, and the cost is still that of the others."""
    assert candidate([1.0, 9.0, 5.0] * 7).estimate(21) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"scheme": "blockwise"},
        {"scheme": "static", "block_size": 32},
        {"scheme": "dynamic", "treatments": (("outlier_channels", 8),)},
        {"scheme": "float", "treatments": (("split_channels", 8),)},
        {"scheme": "blockwise", "block_size": 32, "treatments": (SMOOTH,)},
        {"treatments": (("other_channels", 8),)},
        {"grid": "int5"},
        {"outputs": ()},
        {"inputs": 0},
        {"scheme": "fast"},
    ],
)
def test_a_request_is_complete(wrong: dict[str, Any]) -> None:
    """Blockwise has a block size and nothing else has one, treatments belong to their schemes; a layer is there."""
    with pytest.raises(ValidationError):
        CostRequest(**{"inputs": 32, "outputs": (16,), "scheme": "static", **wrong})


def test_no_token_costs_nothing() -> None:
    """Zero tokens are a mistake, not a division."""
    with pytest.raises(UsageError, match="give 1 or more"):
        measure_costs([FLOAT], tokens=0)
