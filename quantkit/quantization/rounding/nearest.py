"""Nearest: every weight goes to the level that is closest to it."""

from quantkit.quantization.affine import quantize_matrix, require_finite
from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.rounding.problem import Problem


def round_weight(problem: Problem) -> QuantizedWeight:
    """Return the weight rounded to nearest; the moment is not looked at.

    Raises:
        QuantizationError: a weight is NaN or infinite.
    """
    require_finite(problem.matrix, problem.name)
    scales = problem.grid.scales(problem.matrix, per_channel=problem.per_channel)
    return quantize_matrix(problem.matrix, scales, problem.grid)
