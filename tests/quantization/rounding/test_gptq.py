"""GPTQ: never worse than nearest, and nearest where there is nothing to gain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import QuantizationError, RecipeError
from quantkit.quantization.grids import GRIDS, INT8, Grid
from quantkit.quantization.rounding import ROUNDINGS, Problem, channel_errors

pytestmark = pytest.mark.avx2

gptq, nearest = ROUNDINGS["gptq"], ROUNDINGS["nearest"]


def inputs(tokens: int, width: int, seed: int = 0) -> np.ndarray:
    """Return correlated inputs [tokens, width], channels of different strength."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(tokens, 4)) @ random.normal(size=(4, width))
    return (mixed + random.normal(size=(tokens, width)) / 3) * random.uniform(0.1, 3, width)


def problem(x: np.ndarray, outputs: int, *, grid: Grid = INT8, per_channel: bool = True) -> Problem:
    """Return a weight of noise that reads `x`."""
    matrix = np.random.default_rng(1).normal(size=(x.shape[1], outputs)).astype(np.float32)
    return Problem(
        name="layer",
        matrix=matrix,
        moment=x.T @ x / len(x),
        per_channel=per_channel,
        grid=grid,
    )


@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 12), st.integers(1, 20), st.integers(1, 5)),
    grid=st.sampled_from(list(GRIDS.values())),
    per_channel=st.booleans(),
    silent=st.booleans(),
)
def test_no_channel_is_worse(
    seed: int, shape: tuple[int, int, int], grid: Grid, per_channel: bool, silent: bool
) -> None:
    """Every output's expected error is at most nearest's, also with fewer tokens than inputs and silent inputs."""
    tokens, width, outputs = shape
    x = inputs(tokens, width, seed)
    if silent:
        x[:, :: 1 + seed % 3] = 0
    asked = problem(x, outputs, grid=grid, per_channel=per_channel)
    found, plain = gptq(asked), nearest(asked)
    assert (channel_errors(asked, found) <= channel_errors(asked, plain)).all()
    assert (found.values.dtype, found.zero_point) == (plain.values.dtype, plain.zero_point)
    assert np.array_equal(found.scales, plain.scales)
    assert np.abs(found.values.astype(int) - found.zero_point).max() <= grid.limit


@given(seed=st.integers(0, 1000), grid=st.sampled_from(list(GRIDS.values())))
def test_weights_on_the_grid_stay(seed: int, grid: Grid) -> None:
    """Weights that are levels already come back exactly."""
    random = np.random.default_rng(seed)
    limit = grid.limit
    levels = random.integers(-limit, limit + 1, (9, 3))
    levels[0], levels[1] = limit, 0
    levels = grid.nearest(levels)
    # A power of two: levels times the scale are exact, and so is the scale found.
    matrix = (levels * 2.0**-6).astype(np.float32)
    x = inputs(50, 9, seed)
    found = gptq(Problem(name="w", matrix=matrix, moment=x.T @ x, grid=grid))
    assert np.array_equal(found.dequantize(), matrix)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_error_on_the_inputs(grid: Grid) -> None:
    """On correlated inputs the error of real outputs falls to less than half of nearest's, over several blocks."""
    x = inputs(2000, 300)
    asked = problem(x, 16, grid=grid)
    exact = x @ asked.matrix
    errors = [np.square(x @ rounding(asked).dequantize() - exact).mean() for rounding in (gptq, nearest)]
    assert errors[0] < 0.5 * errors[1]
    # What is expected is what is found: the moments are those of these inputs.
    assert channel_errors(asked, gptq(asked)).mean() == pytest.approx(errors[0], rel=1e-4)


def test_two_inputs_by_hand() -> None:
    """With two equal inputs the errors of two weights cancel: 0.4 + 0.4 becomes 1 + 0."""
    matrix = np.float32([[0.4], [0.4], [127]])
    moment = np.float64([[2, 1.99, 0], [1.99, 1.99, 0], [0, 0, 0.1]])
    assert nearest(Problem(name="w", matrix=matrix)).values[:, 0].tolist() == [0, 0, 127]
    found = gptq(Problem(name="w", matrix=matrix, moment=moment)).values[:, 0].tolist()
    assert found == [0, 1, 127]


@pytest.mark.parametrize("moment", [np.zeros((6, 6)), np.diag(np.arange(6.0))])
def test_uncorrelated_inputs(moment: np.ndarray) -> None:
    """Without correlations nearest is best, and is what comes back."""
    matrix = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    asked = Problem(name="w", matrix=matrix, moment=moment)
    assert np.array_equal(gptq(asked).values, nearest(asked).values)


def test_same_every_time() -> None:
    """Two runs give the same values."""
    asked = problem(inputs(100, 200), 8)
    assert np.array_equal(gptq(asked).values, gptq(asked).values)


def test_without_calibration() -> None:
    """No moments is an error that says what is missing."""
    with pytest.raises(RecipeError, match=r"layer: rounding gptq needs calibration data"):
        gptq(Problem(name="layer", matrix=np.ones((2, 2), np.float32)))


@pytest.mark.parametrize(
    ("moment", "message"),
    [(np.full((2, 2), np.nan), "hold NaN"), (np.float64([[1, 2], [2, 1]]), "are not positive semidefinite")],
)
def test_broken_moments(moment: np.ndarray, message: str) -> None:
    """Moments that no inputs can have are refused with the layer's name."""
    with pytest.raises(QuantizationError, match=rf"layer: its calibration's second moments {message}"):
        gptq(Problem(name="layer", matrix=np.ones((2, 2), np.float32), moment=moment))
