"""Range estimators: histogram → (low, high), the part of the axis that the 256 levels shall cover.

Every method has the signature `estimate(histogram, percentile) -> (low, high)`; the field's names. The estimator minmax
is not here: smallest and largest value need no histogram (`quantization.apply.extremes`).
"""

from collections.abc import Callable

from quantkit.quantization.observe.histogram import Histogram
from quantkit.quantization.observe.ranges import entropy, mse, percentile

RangeMethod = Callable[[Histogram, float], tuple[float, float]]

METHODS: dict[str, RangeMethod] = {
    "percentile": percentile.estimate,
    "entropy": entropy.estimate,
    "mse": mse.estimate,
}
