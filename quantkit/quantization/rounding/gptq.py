"""GPTQ: weights are rounded one input after the other, and each absorbs the errors of those before it.

What counts is the expected squared error of the outputs, E|xᵀ(W - Ŵ)|² = trace((W - Ŵ)ᵀ H (W - Ŵ)), with the second
moments H of the inputs (Frantar et al. 2022, "GPTQ"). With H = L Lᵀ this is Σ_i |L[i,i] d[i] + Σ_{j>i} L[j,i] d[j]|²,
d[i] being row i of W - Ŵ. So when the rows behind i are rounded, the best level of row i is the one nearest to
W[i] + Σ_{j>i} L[j,i] d[j] / L[i,i]. That is GPTQ's update, by one Cholesky factor and without the inverse of H.

Inputs that matter most go first ("act order"), as those that follow can still make up for them: L belongs to H with its
diagonal in increasing order, and rows are rounded from the last to the first. Every output channel keeps the better
of this and nearest, so no channel is expected to be worse.

On a grid with a pair limit, what the second weight of a pair may be depends on the level that the first has taken,
whichever comes first in the order.

On one machine the result is the same every time. It takes K³/3 + 3 K² N multiply-adds in float64 and 3 K² + 5 K N
numbers for a weight [K, N]: seconds for K = 4096. There is no limit but memory.
"""

import numpy as np

from quantkit.errors import QuantizationError, RecipeError
from quantkit.quantization.grids import Grid, QuantizedWeight
from quantkit.quantization.rounding import nearest
from quantkit.quantization.rounding.cholesky import cholesky
from quantkit.quantization.rounding.problem import Problem, channel_errors

# Added to the diagonal, as a share of each entry: H comes from a sample, and is singular when there are fewer tokens
# than inputs. The second share is of the diagonal's mean, for inputs that never took part.
_DAMPING = 0.01
_LEAST_DAMPING = 1e-8
# Rows whose errors are passed on together, by one product of matrices.
_BLOCK = 128


def round_weight(problem: Problem) -> QuantizedWeight:
    """Return the weight rounded for inputs with these second moments.

    Raises:
        RecipeError: there are no moments.
        QuantizationError: a weight or a moment is NaN or infinite, or the moments are not those of any inputs.
    """
    plain = nearest.round_weight(problem)
    moment = _checked_moment(problem)
    diagonal = np.diag(moment)
    if not diagonal.any():
        return plain
    order = np.argsort(diagonal, kind="stable")
    damped = moment[np.ix_(order, order)]
    damped[np.diag_indices_from(damped)] += _DAMPING * diagonal[order] + _LEAST_DAMPING * diagonal.mean()
    try:
        factor = cholesky(damped)
    except np.linalg.LinAlgError as error:
        raise QuantizationError(
            f"{problem.name}: its calibration's second moments are not positive semidefinite, as of texts that are "
            "all alike; calibrate on other and more texts"
        ) from error
    del damped
    levels = np.empty(problem.matrix.shape)
    scaled = problem.matrix.astype(np.float64) / plain.scales
    levels[order] = _round_rows(scaled[order], factor, problem.grid, _neighbours(order))
    found = problem.grid.encode(levels, plain.scales)
    better = channel_errors(problem, found) < channel_errors(problem, plain)
    return QuantizedWeight(
        values=np.where(better, found.values, plain.values), scales=plain.scales, zero_point=plain.zero_point
    )


def _checked_moment(problem: Problem) -> np.ndarray:
    """Return the moment as float64."""
    if problem.moment is None:
        raise RecipeError(
            f"{problem.name}: rounding gptq needs calibration data, and there is none; "
            "give a calibration set (calib), or choose rounding nearest"
        )
    moment: np.ndarray = problem.moment.astype(np.float64)
    if not np.isfinite(moment).all():
        raise QuantizationError(
            f"{problem.name}: its calibration's second moments hold NaN or infinity; check the calibration set"
        )
    return moment


def _neighbours(order: np.ndarray) -> np.ndarray:
    """Return for each place in an order of rows the place of the other row of its pair, int64; -1 where it has none."""
    places = np.empty(len(order) + 1, np.int64)
    places[order] = np.arange(len(order))
    # An odd number of rows leaves the last alone.
    places[-1] = -1
    found: np.ndarray = places[order ^ 1]
    return found


def _round_rows(scaled: np.ndarray, factor: np.ndarray, grid: Grid, neighbours: np.ndarray) -> np.ndarray:
    """Return the levels of `scaled` [inputs, outputs], in units of the scales; rows are taken from the last up.

    Args:
        scaled: weights divided by their scales, float64.
        factor: L, lower triangular [inputs, inputs].
        grid: of the levels.
        neighbours: for each row the other of its pair (`_neighbours`).
    """
    levels, missed = np.empty_like(scaled), np.empty_like(scaled)
    for end in range(len(scaled), 0, -_BLOCK):
        begin = max(0, end - _BLOCK)
        passed_on = factor[end:, begin:end].T @ missed[end:]
        corner = np.ascontiguousarray(factor[begin:end, begin:end].T)
        for row in range(end - 1, begin - 1, -1):
            column = row - begin
            inside = corner[column, column + 1 :] @ missed[row + 1 : end]
            wanted = scaled[row] + (passed_on[column] + inside) / corner[column, column]
            taken = levels[neighbours[row]] if neighbours[row] > row else None
            levels[row] = grid.nearest_beside(wanted, taken)
            missed[row] = scaled[row] - levels[row]
    return levels
