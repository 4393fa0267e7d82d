"""Roundings: how a weight's levels are chosen on a grid that is fixed beforehand.

Every rounding has the signature `round_weight(problem) -> QuantizedWeight`; the field's names.
"""

from collections.abc import Callable, Mapping

from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.rounding.problem import Problem, channel_errors
from quantkit.tables import ROUNDINGS as _TABLE

Rounding = Callable[[Problem], QuantizedWeight]

ROUNDINGS: Mapping[str, Rounding] = _TABLE.loaded()
"""Name → the rounding. A rounding is one file and one line in `quantkit.tables.ROUNDINGS`."""

__all__ = ["ROUNDINGS", "Problem", "Rounding", "channel_errors"]
