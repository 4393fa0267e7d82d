"""Range estimators: histogram → (low, high), the part of the axis that the 256 levels shall cover.

Every method has the signature `estimate(histogram, percentile) -> (low, high)`; the field's names. The estimator minmax
is not here: smallest and largest value need no histogram (`treatments.reading.Reading.extremes`).
"""

from collections.abc import Callable, Mapping

from quantkit.quantization.observe.histogram import Histogram
from quantkit.tables import RANGE_METHODS

RangeMethod = Callable[[Histogram, float], tuple[float, float]]

METHODS: Mapping[str, RangeMethod] = RANGE_METHODS.loaded()
"""Name → the method. A method is one file and one line in `quantkit.tables.RANGE_METHODS`."""
