"""Smoothing factors that minimise the error to be expected at the layers' outputs.

Rounding is modelled as noise of a twelfth of a squared step. With the step of x / s from its whole range and the steps
of s W from each column's largest entry, the mean squared error per token, summed over outputs, is

    activations   (max(high / s) - min(low / s))² / 255² / 12 · Σ_i s_i² |W_i|²
    weights       Σ_j (max_i s_i |W_ij|)² / 127² / 12 · Σ_i u_i / s_i²

The maximum over 127 is the step of the grid int8. Others have steps of their own (`Grid.reach`): within the pair limit
that of the largest sum of two neighbours of one sign. u_i is what rounding row i costs per squared step: the mean
square of channel i for rounding to nearest, and with GPTQ L[i,i]² of the moments' Cholesky factor, as the rows rounded
later make up for the rest (see `rounding.gptq`).

The sum is minimised over log s, beginning with the best SmoothQuant alpha, by Adam with maxima softened to p-norms; the
best point by the exact formula is kept, so the result is never worse than any alpha. The way down looks at no more than
`_COLUMNS` outputs and `_ENTRIES` weights, as every output pulls on the same factors: about 100 steps of 10 · 2^19
operations, below a second for K = 4096. It is the same every time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantkit.graph.pairs import pair_sums
from quantkit.quantization.grids import INT8, Grid
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.rounding.cholesky import cholesky
from quantkit.quantization.treatments.smooth.alpha import alpha_factors

_ALPHAS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
_STEPS = 100
_LOOK_EVERY = 10
_RATE = 0.07
# The p-norm in place of the maximum has p = 2^5: five squarings.
_SQUARINGS = 5
_COLUMNS, _ENTRIES = 512, 2**19
_DAMPING = 0.01


def least_error_factors(
    statistics: Statistics, matrices: Sequence[np.ndarray], *, gptq: bool, grid: Grid = INT8
) -> np.ndarray:
    """Return s, float32 [channels], scaled to a geometric mean of 1.

    Args:
        statistics: of the tensor; with its moment when `gptq`.
        matrices: the weights that read it, [channels, outputs] each.
        gptq: the weights will be rounded by GPTQ rather than to nearest.
        grid: of the weights.
    """
    problem = _problem(statistics, matrices, gptq=gptq, grid=grid)
    starts = [alpha_factors(statistics.magnitude, matrices, alpha).astype(np.float64) for alpha in _ALPHAS]
    best = min(starts, key=problem.error)
    if not any(matrix.any() for matrix in matrices):
        return best.astype(np.float32)  # the outputs are 0 whatever the factors: there is no way down
    return _descend(problem, best).astype(np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Problem:
    """high and -low [K], |W| [K, N], Σ_j W_ij² [K] and u [K], not negative; W is float32, the others float64.

    W has its signs where the grid has a pair limit.
    """

    high: np.ndarray
    low: np.ndarray
    weights: np.ndarray
    rows: np.ndarray
    row_costs: np.ndarray
    grid: Grid

    def error(self, factors: np.ndarray) -> float:
        """Return the expected error by the exact formula."""
        step = ((self.high / factors).max() + (self.low / factors).max()) / 255
        smoothed = factors[:, None].astype(np.float32) * self.weights
        columns = self.grid.reach(smoothed).astype(np.float64) / self.grid.limit
        activations = step**2 * (factors**2 @ self.rows)
        return float((activations + (columns**2).sum() * (self.row_costs / factors**2).sum()) / 12)

    def slope(self, logarithm: np.ndarray) -> np.ndarray:
        """Return the gradient of the logarithm of the softened error, by log s."""
        factors = np.exp(logarithm)
        high, high_shares = _soft_max(self.high / factors)
        low, low_shares = _soft_max(self.low / factors)
        spread = factors**2 * self.rows
        activations = ((high + low) / 255) ** 2 * spread.sum()
        steps, row_shares = _soft_steps(factors[:, None].astype(np.float32) * self.weights, self.grid)
        costs = self.row_costs / factors**2
        weights = steps / self.grid.limit**2 * costs.sum()
        width = high + low
        by_activations = 2 * spread / spread.sum() - 2 * (high * high_shares + low * low_shares) / width
        by_weights = 2 * row_shares / steps - 2 * costs / costs.sum()
        result: np.ndarray = (activations * by_activations + weights * by_weights) / (activations + weights)
        return result

    def thinned(self) -> "_Problem":
        """Return the problem with fewer outputs, evenly spread, at the same share of the error."""
        inputs, outputs = self.weights.shape
        most = min(_COLUMNS, max(1, _ENTRIES // inputs))
        if outputs <= most:
            return self
        chosen = np.linspace(0, outputs - 1, most).round().astype(int)
        return replace(
            self,
            weights=np.ascontiguousarray(self.weights[:, chosen]),
            rows=self.rows * (most / outputs),
        )


def _problem(
    statistics: Statistics, matrices: Sequence[np.ndarray], *, gptq: bool, grid: Grid = INT8
) -> _Problem:
    paired = grid.pair_limit is not None
    weights = np.concatenate([matrix if paired else np.abs(matrix) for matrix in matrices], axis=1)
    tiny = np.finfo(np.float32).tiny
    return _Problem(
        high=np.maximum(statistics.high.astype(np.float64), 0) + tiny,
        low=np.maximum(-statistics.low.astype(np.float64), 0) + tiny,
        weights=weights if paired else weights + tiny,
        rows=np.square(weights, dtype=np.float64).sum(axis=1) + tiny,
        row_costs=(_conditional_squares(statistics) if gptq else statistics.square) + tiny,
        grid=grid,
    )


def _conditional_squares(statistics: Statistics) -> np.ndarray:
    """Return L[i,i]² of the damped moments, rows with the largest diagonal rounded first, as GPTQ does."""
    assert statistics.moment is not None
    moment = statistics.moment.astype(np.float64)
    diagonal = np.diag(moment).copy()
    order = np.argsort(diagonal, kind="stable")
    damped = moment[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += _DAMPING * diagonal[order] + 1e-8 * diagonal.mean() + 1e-30
    squares = np.empty_like(diagonal)
    try:
        squares[order] = np.diag(cholesky(damped)) ** 2
    except np.linalg.LinAlgError:
        # Rows that are all alike: what is left of their variance is noise of rounding, and no row makes up for another.
        return np.maximum(diagonal, 0)
    return squares


def _soft_max(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the p-norm over the first axis, and each entry's share of it; shares sum to 1."""
    largest = values.max(axis=0)
    powers = values / largest
    for _ in range(_SQUARINGS):
        np.square(powers, out=powers)
    total = powers.sum(axis=0)
    powers /= total
    return largest * total ** (1 / 2**_SQUARINGS), powers


def _soft_steps(weights: np.ndarray, grid: Grid) -> tuple[float, np.ndarray]:
    """Return the sum over columns of the softened reach squared, and how much of it each row has, [K].

    Args:
        weights: s W [K, N], with the signs that the problem has.
        grid: of the weights.
    """
    if grid.pair_limit is None:
        columns, shares = _soft_max(weights)
        squares = columns**2
        return float(squares.sum()), shares @ squares
    # A weight alone hardly reaches further than its pair: 128 / 127 at most.
    ratio, tiny = np.float32(grid.limit / grid.pair_limit), np.finfo(np.float32).tiny
    positive, negative = pair_sums(weights)
    sums = np.concatenate([positive, -negative]) * ratio + tiny
    columns, shares = _soft_max(sums)
    squares = columns**2
    # Of a sum each of its weights has its part.
    per_weight = np.split(shares / sums * squares * ratio, 2)
    up, down = (np.repeat(part, 2, axis=0)[: len(weights)] for part in per_weight)
    by_input: np.ndarray = np.where(weights > 0, up, down) * np.abs(weights)
    return float(squares.sum()), by_input.sum(axis=1)


def _descend(problem: _Problem, start: np.ndarray) -> np.ndarray:
    """Return the best factors seen on the way down from `start` (Adam, Kingma and Ba 2015)."""
    logarithm, thinned = np.log(start), problem.thinned()
    first, second = np.zeros_like(start), np.zeros_like(start)
    best, least = start, problem.error(start)
    for step in range(1, _STEPS + 1):
        slope = thinned.slope(logarithm)
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        rate = _RATE * (1 - 0.9 * step / _STEPS)
        logarithm = logarithm - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        if step % _LOOK_EVERY == 0:
            factors = np.exp(logarithm - logarithm.mean())
            error = problem.error(factors)
            if error < least:
                best, least = factors, error
    return best
