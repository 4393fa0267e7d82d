"""Range estimators: histogram → (low, high), the part of the axis that the 256 levels shall cover.

Every method has the signature `estimate(histogram, percentile) -> (low, high)`; the field's names.
"""

from collections.abc import Callable

from quantkit.quantization.histogram import Histogram
from quantkit.quantization.ranges import entropy, minmax, mse, percentile

RangeMethod = Callable[[Histogram, float], tuple[float, float]]

METHODS: dict[str, RangeMethod] = {
    "minmax": minmax.estimate,
    "percentile": percentile.estimate,
    "entropy": entropy.estimate,
    "mse": mse.estimate,
}
