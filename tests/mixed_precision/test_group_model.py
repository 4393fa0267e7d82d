"""Group models: the price of a scheme is that of its own kernels, whatever else onnxruntime would run."""

from typing import Any

import pytest
from pydantic import ValidationError

from quantkit.errors import QuantizationError
from quantkit.files import cache_folder
from quantkit.latency.cost import measure_costs
from quantkit.mixed_precision import group_model
from quantkit.mixed_precision.group_model import CostRequest
from quantkit.quantization.treatments.outliers import FloatChannels
from quantkit.quantization.treatments.smooth import Factors
from quantkit.quantization.treatments.split import Copies
from quantkit.quantization.write.schemes import SCHEMES

pytestmark = pytest.mark.avx2

FLOAT = CostRequest(inputs=32, outputs=(16,), scheme="float")
SMOOTH = ("smooth_quant", "auto")
STATIC = CostRequest(inputs=32, outputs=(16, 16), scheme="static", treatments=(SMOOTH,))


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
    assert str(request) == "static outliers 8, 64 to 48, 32"
    assert measure_costs([request], tokens=8)[request] > 0


@pytest.mark.parametrize("smoothed", [(), (SMOOTH,)], ids=["plain", "smooth"])
def test_copies_are_measured(smoothed: Any) -> None:
    """Static layers with copied channels run in integer kernels that have a row for each copy."""
    request = CostRequest(
        inputs=64, outputs=(48, 32), scheme="static", treatments=(("split_channels", 16), *smoothed)
    )
    assert str(request) == "static split 16, 64 to 48, 32"
    assert measure_costs([request], tokens=8)[request] > 0


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


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": 64},
        {"outputs": (16, 8)},
        {"scheme": "dynamic"},
        {"treatments": (SMOOTH,)},
        {"treatments": (("outlier_channels", 8),)},
        {"treatments": (("split_channels", 8),)},
        {"scheme": "blockwise", "block_size": 32},
        {"grid": "uint8"},
    ],
    ids=" ".join,
)
def test_whatever_changes_the_kernels_is_described(change: dict[str, Any]) -> None:
    """Requests that differ are described otherwise, or one would get the other's price from the table."""
    plain = {"inputs": 32, "outputs": (16,), "scheme": "static"}
    assert CostRequest(**plain).describe() == CostRequest(**plain).describe()
    assert CostRequest(**{**plain, **change}).describe() != CostRequest(**plain).describe()
