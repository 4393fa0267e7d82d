"""What a rounding is asked: a weight, what its inputs are like, and the grid it has to end on."""

from dataclasses import dataclass

import numpy as np

from quantkit.quantization.grids import INT8, Grid, QuantizedWeight


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One weight to quantize.

    Attributes:
        name: the layer's name, for messages.
        matrix: the weight, float32 [inputs, outputs].
        moment: second moments of the layer's inputs [inputs, inputs], the mean of x xᵀ over tokens, for inputs as the
            layer will read them (smoothed and quantized); None when nothing was calibrated.
        per_channel: one scale per output channel rather than one for all.
        grid: the integers that its weights may take.
    """

    name: str
    matrix: np.ndarray
    moment: np.ndarray | None = None
    per_channel: bool = True
    grid: Grid = INT8


def channel_errors(problem: Problem, weight: QuantizedWeight) -> np.ndarray:
    """Return each output channel's expected squared error, diag((W - Ŵ)ᵀ H (W - Ŵ)), float64 [outputs].

    The problem must have a moment H.
    """
    assert problem.moment is not None
    levels = weight.values.astype(np.float64) - weight.zero_point
    difference = problem.matrix - levels * weight.scales
    errors: np.ndarray = np.einsum("io,io->o", difference, problem.moment.astype(np.float64) @ difference)
    return errors
