"""Factors of least expected error: never worse than SmoothQuant's, by a formula that is checked by rounding."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.graph.linear import linear_layers
from quantkit.quantization.affine import affine_uint8
from quantkit.quantization.grids import GRIDS, INT8, Grid
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.rounding import ROUNDINGS, Problem
from quantkit.quantization.treatments.reading import rounded_to
from quantkit.quantization.treatments.smooth.alpha import alpha_factors
from quantkit.quantization.treatments.smooth.fold import smooth
from quantkit.quantization.treatments.smooth.least_error import _ALPHAS, _problem, least_error_factors


def expected_error(
    seen: Statistics, matrices: Sequence[np.ndarray], factors: np.ndarray, *, gptq: bool, grid: Grid = INT8
) -> float:
    """Return the expected squared error per token, summed over the outputs of all `matrices`, by the formula."""
    return _problem(seen, matrices, gptq=gptq, grid=grid).error(factors.astype(np.float64))


def drawn(seed: int, channels: int, tokens: int, spread: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return correlated activations of unlike channels, one of them always 0, and two weights that read them."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(tokens, channels)) @ random.normal(size=(channels, channels))
    scale = np.exp(spread * random.normal(size=channels))
    scale[0] = 0
    matrices = [random.normal(size=(channels, outputs)) for outputs in (6, 3)]
    return (mixed * scale).astype(np.float32), [matrix.astype(np.float32) for matrix in matrices]


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(2, 24),
    tokens=st.integers(1, 60),
    spread=st.floats(0, 4),
    alpha=st.sampled_from([0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0]),
    weights=st.tuples(st.booleans(), st.sampled_from(list(GRIDS.values()))),
)
def test_never_worse_than_any_alpha(
    statistics_of: Any,
    seed: int,
    channels: int,
    tokens: int,
    spread: float,
    alpha: float,
    weights: tuple[bool, Grid],
) -> None:
    """By its own formula the error is at most that of every alpha it begins with; factors are usable."""
    gptq, grid = weights
    values, matrices = drawn(seed, channels, tokens, spread)
    seen = statistics_of(values)
    ours = least_error_factors(seen, matrices, gptq=gptq, grid=grid)
    theirs = alpha_factors(seen.magnitude, matrices, alpha)
    found, other = (
        expected_error(seen, matrices, factors, gptq=gptq, grid=grid) for factors in (ours, theirs)
    )
    # Factors are rounded to float32 at the end.
    assert found <= other * (1 + 1e-6)
    assert ours.dtype == np.float32
    assert np.isfinite(ours).all()
    assert (ours > 0).all()
    # A geometric mean of 1: the logarithms of channels that differ by e^30 in float32.
    assert np.log(ours.astype(np.float64)).mean() == pytest.approx(0, abs=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_layer_of_zeros_has_the_factors_of_an_alpha(statistics_of: Any, grid: Grid) -> None:
    """Where no weight is there to round nothing divides by nothing, and the factors are a best alpha's."""
    values, (matrix, _) = drawn(3, 8, 20, 1.0)
    seen, zeros = statistics_of(values), [np.zeros_like(matrix)]
    found = least_error_factors(seen, zeros, gptq=False, grid=grid)
    alphas = [alpha_factors(seen.magnitude, zeros, alpha) for alpha in _ALPHAS]
    assert any(np.array_equal(found, factors) for factors in alphas)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("gptq", [False, True])
def test_better_than_alphas_where_it_matters(statistics_of: Any, gptq: bool, grid: Grid) -> None:
    """With outlier channels the error is 5 % below the best alpha's, and the same every time."""
    values, matrices = drawn(3, 48, 500, 1.5)
    seen = statistics_of(values)
    found = least_error_factors(seen, matrices, gptq=gptq, grid=grid)
    np.testing.assert_array_equal(found, least_error_factors(seen, matrices, gptq=gptq, grid=grid))
    alphas = [alpha_factors(seen.magnitude, matrices, alpha / 20) for alpha in range(21)]
    best = min(expected_error(seen, matrices, factors, gptq=gptq, grid=grid) for factors in alphas)
    assert expected_error(seen, matrices, found, gptq=gptq, grid=grid) < 0.95 * best


def test_rows_that_are_all_alike_have_factors(statistics_of: Any) -> None:
    """Where tokens do not differ, rounding leaves moments that have no factor; smoothing goes on without it."""
    _, matrices = drawn(6, 4, 3, 0.5)
    seen = statistics_of(np.ones((3, 4), np.float32))
    noise = np.full((4, 4), 3e-6, np.float32) - 4e-6 * np.eye(4, dtype=np.float32)
    found = least_error_factors(replace(seen, moment=noise), matrices, gptq=True, grid=INT8)
    assert np.isfinite(found).all()
    assert (found > 0).all()


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_the_formula_is_what_rounding_does(statistics_of: Any, grid: Grid) -> None:
    """Rounding smoothed activations and weights to nearest gives the expected error, within a quarter."""
    values, matrices = drawn(5, 48, 2000, 1.0)
    seen = statistics_of(values)
    for factors in (np.ones(48, np.float32), alpha_factors(seen.magnitude, matrices, 0.5)):
        smoothed = values / factors
        step, _ = affine_uint8(float(smoothed.min()), float(smoothed.max()))
        rounded = rounded_to(smoothed, float(smoothed.min()), float(smoothed.max()))
        assert np.abs(rounded - smoothed).max() <= step / 2 * (1 + 1e-3)
        measured = 0.0
        for matrix in matrices:
            weight = ROUNDINGS["nearest"](Problem(name="w", matrix=matrix * factors[:, None], grid=grid))
            difference = rounded @ weight.dequantize() - values @ matrix
            measured += float(np.square(difference, dtype=np.float64).sum() / len(values))
        # The noise of 9 outputs' weights is one draw of 9 · 48 roundings.
        assert expected_error(seen, matrices, factors, gptq=False, grid=grid) == pytest.approx(
            measured, rel=0.25
        )


def test_float_outputs_stay(bench: Any, statistics_of: Any) -> None:
    """Smoothed by these factors the float graph computes what it did."""
    weights = {
        "words_weight": bench.normal(40, 32, seed=1) * np.float32(np.logspace(-1, 1.5, 32)),
        "a_weight": bench.normal(32, 24, seed=2),
        "b_weight": bench.normal(32, 24, seed=3),
    }
    body = """
        x = Gather (words_weight, input_ids) a = MatMul (x, a_weight) b = MatMul (x, b_weight)
        logits = Mul (a, b)
    """
    model = bench.build(body, weights)
    expected = bench.compute(model)
    layers = linear_layers(model.graph)
    seen = statistics_of(weights["words_weight"])
    factors = least_error_factors(seen, [layer.matrix() for layer in layers], gptq=True)
    assert np.ptp(np.log(factors)) > 1
    smooth(model, layers, {"x": factors})
    np.testing.assert_allclose(bench.compute(model), expected, rtol=0, atol=2e-5 * np.abs(expected).max())
