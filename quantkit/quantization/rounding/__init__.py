"""Roundings: how a weight's levels are chosen on a grid that is fixed beforehand.

Every rounding has the signature `round_weight(problem) -> QuantizedWeight`; the field's names.
"""

from collections.abc import Callable

from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.rounding import gptq, nearest
from quantkit.quantization.rounding.problem import Problem, channel_errors

Rounding = Callable[[Problem], QuantizedWeight]

ROUNDINGS: dict[str, Rounding] = {
    "nearest": nearest.round_weight,
    "gptq": gptq.round_weight,
}

__all__ = ["ROUNDINGS", "Problem", "Rounding", "channel_errors"]
