"""SmoothQuant's own factors: s_c = max|x_c|^alpha / max|W_c|^(1 - alpha) (Xiao et al. 2023, equation 4)."""

from collections.abc import Sequence

import numpy as np

# A channel that calibration hardly saw is treated as this share of the median channel: enough levels if it wakes up on
# other text. Weights nobody reads are kept from dividing by nothing.
_LEAST_SHARE = 0.01
_FLOOR = 1e-5


def alpha_factors(magnitudes: np.ndarray, matrices: Sequence[np.ndarray], alpha: float) -> np.ndarray:
    """Return s, float32 [channels], scaled to a geometric mean of 1.

    Args:
        magnitudes: largest |x| of each channel, [channels].
        matrices: the weights that read the tensor, [channels, outputs] each.
        alpha: 0 leaves the activation as it is in shape, 1 makes all its channels alike.
    """
    weights = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    least = max(_LEAST_SHARE * float(np.median(magnitudes)), _FLOOR)
    logarithm = alpha * np.log(np.maximum(magnitudes, least)) - (1 - alpha) * np.log(
        np.maximum(weights, _FLOOR)
    )
    factors: np.ndarray = np.exp(logarithm - logarithm.mean()).astype(np.float32)
    return factors
