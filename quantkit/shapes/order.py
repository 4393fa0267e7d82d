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
_ROWS = 128
"""Rows of a part of a large matrix, so that it stays in the cache."""
_DENSE = 0.75
"""Of columns, the share that is left when those that are gone are taken out of the matrices."""


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
        matrix: the output projection for them, float64 [inputs, hidden]; float32 where many are kept.
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
    root = _inverse(_lower(_damped(of)))
    inverse, matrix = root.T @ root, of.matrix.copy()
    left, there, removed = np.arange(of.units), np.ones(of.units, bool), []
    while there.any():
        costs = np.where(there, _costs(inverse, matrix, of.size), np.inf)
        places = np.argsort(costs, kind="stable")[: min(step, int(there.sum()))]
        # The last of a step is the one that would cost most.
        removed += left[places].tolist()
        _remove(inverse, matrix, _columns(np.sort(places), of.size))
        there[places] = False
        if there.sum() <= _DENSE * len(there):
            kept = _columns(np.flatnonzero(there), of.size)
            inverse, matrix = inverse[np.ix_(kept, kept)], matrix[kept]
            left, there = left[there], there[there]
    return np.array(removed[::-1], np.int64)


def _remove(inverse: np.ndarray, matrix: np.ndarray, gone: np.ndarray) -> None:
    """Take columns out, in place: what is left is updated, and rows and columns of those become those of nothing."""
    share = np.linalg.solve(inverse[np.ix_(gone, gone)], np.c_[matrix[gone], inverse[gone]])
    across = inverse[:, gone]
    # By parts that stay in the cache: the whole product is as large as what it is taken from.
    for begin in range(0, len(inverse), _ROWS):
        part = slice(begin, begin + _ROWS)
        matrix[part] -= across[part] @ share[:, : matrix.shape[1]]
        inverse[part] -= across[part] @ share[:, matrix.shape[1] :]
    matrix[gone] = 0.0
    inverse[gone] = inverse[:, gone] = 0.0
    inverse[gone, gone] = 1.0


def narrowed(of: Projection, order: np.ndarray, widths: Sequence[int]) -> Mapping[int, Narrowed]:
    """Return number of units → the block with the first so many of an order, its projection solved for them.

    With the inputs in this order and H = L Lᵀ, what k of them give is least squares with L's first k rows and columns,
    so one factor serves all widths: W_k = L_k⁻ᵀ (Lᵀ W)_k, and the squared error is that of the rows of Lᵀ W after k.
    Matrices are float32: there are many, and graphs have them so.

    Raises:
        QuantizationError: the covariance is not that of any inputs.
    """
    columns = of.columns(order)
    damped, weights = _damped(of), of.matrix[columns]
    ridge = damped[0, 0] - of.covariance[0, 0]
    lower = _lower(damped[np.ix_(columns, columns)])
    back, explained = _inverse(lower).T, lower.T @ weights
    variance = np.square(explained).sum() - ridge * np.square(weights).sum()
    found = {}
    for width in widths:
        count = width * of.size
        # All units are the block as it was, without the rounding of solving for them.
        solved = weights if width == of.units else back[:count, :count] @ explained[:count]
        change = np.square(weights[:count] - solved).sum() + np.square(weights[count:]).sum()
        error = max(0.0, float(np.square(explained[count:]).sum() - ridge * change))
        kept = np.sort(columns[:count])
        matrix = solved[np.argsort(columns[:count])]
        found[width] = Narrowed(
            units=np.sort(order[:width]),
            matrix=matrix.astype(np.float32),
            bias=of.bias + of.mean @ of.matrix - of.mean[kept] @ matrix,
            error=error / float(variance) if variance > 0 else 0.0,
        )
    return found


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


def _lower(damped: np.ndarray) -> np.ndarray:
    """Return L with L Lᵀ of this; more is added to the diagonal where rounded moments are those of no inputs."""
    added = 0.0
    for share in (0.0, RIDGE, 10 * RIDGE, 100 * RIDGE):
        added = share * float(np.trace(damped)) / len(damped)
        try:
            found: np.ndarray = np.linalg.cholesky(damped + added * np.eye(len(damped)))
        except np.linalg.LinAlgError:
            continue
        return found
    raise QuantizationError(
        "the second moments of a projection's inputs are those of no inputs; check the data"
    )


def _inverse(lower: np.ndarray) -> np.ndarray:
    """Return the inverse of a lower triangular matrix, by halves: nearly all of it is products of matrices."""
    size = len(lower)
    if size <= _ROWS:
        small: np.ndarray = np.tril(np.linalg.inv(lower))
        return small
    half = size // 2
    found = np.zeros_like(lower)
    found[:half, :half] = _inverse(lower[:half, :half])
    found[half:, half:] = _inverse(lower[half:, half:])
    found[half:, :half] = -found[half:, half:] @ (lower[half:, :half] @ found[:half, :half])
    return found


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
