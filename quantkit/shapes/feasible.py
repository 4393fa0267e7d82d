"""Feasible: whether anything keeps the limits, before any candidate is built; if not, which do not and what is near."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from quantkit.allocation.slots import Limit, Priced, Slots
from quantkit.allocation.solver import cheapest
from quantkit.errors import UsageError
from quantkit.shapes.goal import COST, Goal
from quantkit.shapes.slots import Space


def require_feasible(space: Space, goal: Goal) -> None:
    """Check that the solver can keep every limit, by predicted cost.

    Args:
        space: all architectures.
        goal: what is asked.

    Raises:
        UsageError: a limit is beyond every architecture, or two contradict each other; it names the nearest.
    """
    slots = {
        slot: [replace(option, uses={**option.uses, COST: option.cost}) for option in options]
        for slot, options in space.slots.items()
    }
    # What is asked of every search: a block of each kind, and enough of them INT8.
    present = [limit for limit in goal.limits if math.isfinite(limit.at_least)]
    bounds = goal.bounds
    if cheapest(slots, [*present, *(bound.limit for bound in bounds)]) is not None:
        return
    for bound in bounds:
        nearest = _least(slots, bound.limit.name, present)
        if nearest > bound.limit.at_most:
            raise UsageError(
                f"{bound.option}: the nearest that any architecture of this teacher comes is {bound.nearest(nearest)}; "
                f"{bound.relaxed}, or give a smaller teacher"
            )
    for one, other in combinations(bounds, 2):
        nearest = _least(slots, other.limit.name, [*present, one.limit])
        if nearest > other.limit.at_most:
            raise UsageError(
                f"{one.option} and {other.option} contradict each other: with the first, the nearest to the second is "
                f"{other.nearest(nearest)}; relax one of them"
            )
    raise UsageError(
        f"no architecture keeps {', '.join(bound.option for bound in bounds)} together; relax one of them"
    )


def _least(slots: Slots, use: str, limits: Sequence[Limit]) -> float:
    """Return the least that an architecture within the limits has of a use; infinite when there is none."""
    priced = {
        slot: [Priced(damage=0.0, cost=option.uses[use], uses=option.uses) for option in options]
        for slot, options in slots.items()
    }
    found = cheapest(priced, limits)
    return float("inf") if found is None else found.cost
