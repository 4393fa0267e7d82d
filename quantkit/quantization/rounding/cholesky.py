"""The Cholesky factor of second moments that are definite but for what float rounding took."""

import numpy as np

# Of the mean diagonal, added where there is no factor as it is: moments are kept in float32, and where channels
# were shifted, what is left of a large one can be a little below zero.
_SHARES = (1e-6, 1e-4, 1e-2)


def cholesky(damped: np.ndarray) -> np.ndarray:
    """Return L of L Lᵀ = a symmetric matrix, float64 [K, K], or of one with a little more on the diagonal.

    Raises:
        LinAlgError: the matrix is not nearly positive semidefinite.
    """
    try:
        return np.linalg.cholesky(damped)
    except np.linalg.LinAlgError as error:
        failed = error
    diagonal = np.diag(damped)
    for share in _SHARES:
        more = damped.copy()
        more[np.diag_indices_from(more)] = np.maximum(diagonal, 0) + share * diagonal.mean()
        try:
            return np.linalg.cholesky(more)
        except np.linalg.LinAlgError as error:
            failed = error
    raise failed
