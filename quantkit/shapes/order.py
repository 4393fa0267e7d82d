"""Order: which units of a block are removed first, and what the output projection is without them.

Structured optimal brain surgeon (Hassibi and Stork 1993; ZipLM, Kurtic et al. 2023). A block's output is W x + b with
the units x; H is the covariance of x on the calibration data. Removing the columns g and letting all others make up for
them as well as they can costs the output a squared error of

    tr(W_gᵀ (H⁻¹[g,g])⁻¹ W_g),    and    W ← W - H⁻¹[:,g] (H⁻¹[g,g])⁻¹ W_g,

where H⁻¹ is that of the columns that are left. What is left of W after any number of steps is the least-squares
solution for the columns that are left, so one pass gives every width: each keeps a prefix of one order. The mean of
what was removed goes into the bias, and with nothing left the block is its mean output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.errors import QuantizationError

RIDGE = 1e-4
"""Added to the diagonal of H, as a share of its mean: H is that of a sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """An output projection, and what its inputs are like on the calibration data.

    Attributes:
        name: for messages.
        matrix: float64 [inputs, hidden].
        bias: float64 [hidden].
        mean: of the inputs, float64 [inputs].
        covariance: of the inputs, float64 [inputs, inputs].
        size: inputs of one unit, which are next to each other.
    """

    name: str
    matrix: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    size: int = 1

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.matrix) // self.size

    def columns(self, units: np.ndarray) -> np.ndarray:
        """Return the inputs of units, int64."""
        found: np.ndarray = (units[:, None] * self.size + np.arange(self.size)).reshape(-1)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrowed:
    """A block with some of its units.

    Attributes:
        units: the numbers of those that are kept, rising, int64.
        matrix: the output projection for them, float64 [inputs, hidden].
        bias: float64 [hidden].
        error: expected squared error of the block's output over its variance; 0 with all units.
    """

    units: np.ndarray
    matrix: np.ndarray
    bias: np.ndarray
    error: float


def removal_order(of: Projection, *, step: int = 1) -> np.ndarray:
    """Return the units from the one to keep longest to the one removed first, int64.

    Args:
        of: the projection.
        step: so many units are removed at a time: those whose removal alone costs least.

    Raises:
        QuantizationError: the covariance is not that of any inputs.
    """
    inverse, matrix = np.linalg.inv(_damped(of)), of.matrix.copy()
    left, removed = np.arange(of.units), []
    while len(left):
        costs = _costs(inverse, matrix, of.size)
        places = np.argsort(costs, kind="stable")[: min(step, len(left))]
        # The last of a step is the one that would cost most.
        removed += left[places].tolist()
        gone = _columns(np.sort(places), of.size)
        kept = np.setdiff1d(np.arange(len(matrix)), gone)
        share = np.linalg.solve(inverse[np.ix_(gone, gone)], np.c_[matrix[gone], inverse[gone]])
        across = inverse[np.ix_(kept, gone)]
        matrix = matrix[kept] - across @ share[:, : matrix.shape[1]]
        inverse = inverse[np.ix_(kept, kept)] - across @ share[:, matrix.shape[1] :][:, kept]
        inverse = (inverse + inverse.T) / 2
        left = np.delete(left, places)
    return np.array(removed[::-1], np.int64)


def narrowed(of: Projection, order: np.ndarray, widths: Sequence[int]) -> Mapping[int, Narrowed]:
    """Return number of units → the block with the first so many of an order, its projection solved for them."""
    return {width: keeping(of, np.sort(order[:width])) for width in widths}


def keeping(of: Projection, units: np.ndarray) -> Narrowed:
    """Return the block with these units alone (rising), by least squares in closed form.

    Raises:
        QuantizationError: the covariance is not that of any inputs.
    """
    damped, kept = _damped(of), of.columns(units)
    gone = np.setdiff1d(np.arange(len(of.matrix)), kept)
    matrix = of.matrix[kept]
    if len(kept) and len(gone):
        factor = np.linalg.solve(damped[np.ix_(kept, kept)], damped[np.ix_(kept, gone)])
        matrix = matrix + factor @ of.matrix[gone]
    bias = of.bias + of.mean @ of.matrix - of.mean[kept] @ matrix
    change = of.matrix.copy()
    change[kept] -= matrix
    variance = float(np.einsum("ih,ih->", of.matrix, of.covariance @ of.matrix))
    error = float(np.einsum("ih,ih->", change, of.covariance @ change))
    return Narrowed(units=units, matrix=matrix, bias=bias, error=error / variance if variance > 0 else 0.0)


def _damped(of: Projection) -> np.ndarray:
    if not np.isfinite(of.covariance).all():
        raise QuantizationError(
            f"{of.name}: the second moments of its inputs hold NaN or infinity; check the data"
        )
    damped: np.ndarray = (of.covariance + of.covariance.T) / 2
    mean = float(np.trace(damped)) / len(damped)
    damped[np.diag_indices_from(damped)] += RIDGE * mean if mean > 0 else 1.0
    return damped


def _costs(inverse: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Return for each unit that is left the squared error that removing it alone adds."""
    if size == 1:
        costs: np.ndarray = np.square(matrix).sum(axis=1) / np.diag(inverse)
        return costs
    found = []
    for begin in range(0, len(matrix), size):
        part = slice(begin, begin + size)
        found.append(np.einsum("ih,ih->", matrix[part], np.linalg.solve(inverse[part, part], matrix[part])))
    return np.array(found)


def _columns(places: np.ndarray, size: int) -> np.ndarray:
    found: np.ndarray = (places[:, None] * size + np.arange(size)).reshape(-1)
    return found
