"""SmoothQuant: channels of an activation that stick out are made smaller, and the weights that read them larger.

One 8-bit range for a whole tensor is as wide as its widest channel, so narrow channels get few of the 256 levels. With
factors s the product is unchanged, x W = (x / s)(s W), and the channels of x / s are more alike (Xiao et al. 2023,
"SmoothQuant"). s W is quantized with a scale per output, which feels it less.

`alpha` chooses the factors by the paper's formula, `least_error` by the output error that is to be expected; `fold`
puts them into the graph.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.smooth.alpha import alpha_factors
from quantkit.quantization.treatments.smooth.fold import smooth
from quantkit.quantization.treatments.smooth.least_error import least_error_factors

__all__ = ["alpha_factors", "least_error_factors", "smooth", "smoothing_factors"]


def smoothing_factors(
    statistics: Statistics, matrices: Sequence[np.ndarray], alpha: Literal["auto"] | float, *, gptq: bool
) -> np.ndarray:
    """Return s, float32 [channels]: by an alpha, or with "auto" those of least expected error.

    Args:
        statistics: of the tensor; with its moment for "auto" with GPTQ.
        matrices: the weights that read it, [channels, outputs] each.
        alpha: of SmoothQuant, or "auto".
        gptq: how the weights will be rounded.
    """
    if alpha == "auto":
        return least_error_factors(statistics, matrices, gptq=gptq)
    return alpha_factors(statistics.magnitude, matrices, alpha)
