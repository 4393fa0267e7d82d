"""Observe: what calibration saw of a model on real text; it knows neither treatments nor how anything is written.

`observe_model` runs the rows of a calibration set once and keeps statistics of what every linear layer reads.
`calibrate` runs them again for ranges that need histograms (`ranges`), `observe` for statistics of other tensors; both
remember what they saw in a cache.
"""

from quantkit.quantization.observe.calibration import calibrate, observe
from quantkit.quantization.observe.enough import Advice, require_moments, require_text
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.quantization.observe.kept import forget
from quantkit.quantization.observe.observations import Observations, observe_model
from quantkit.quantization.observe.range import Range, RangeRule
from quantkit.quantization.observe.statistics import Detail, Statistics

__all__ = [
    "Advice",
    "CalibrationJob",
    "Detail",
    "Observations",
    "Range",
    "RangeRule",
    "Statistics",
    "calibrate",
    "forget",
    "observe",
    "observe_model",
    "require_moments",
    "require_text",
]
