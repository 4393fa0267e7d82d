"""Candidate: one architecture as it was measured."""

from dataclasses import dataclass

from quantkit.shapes.slots import Units
from quantkit.shapes.trials import Judged
from quantkit.throughput import Spread


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One architecture as it was measured.

    Attributes:
        origin: where it comes from.
        units: block → option.
        damage: predicted before any correction, nats.
        predicted: cost of the whole model, microseconds per 1,000 tokens.
        cost: the same measured.
        judged: on the selection.
        again: how many times as fast as the INT8 teacher it is, timed once more beside it and other finalists; None: it
            was not. The cost is then by this.
    """

    origin: str
    units: Units
    damage: float
    predicted: float
    cost: float
    judged: Judged
    again: Spread | None = None
