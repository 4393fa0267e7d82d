"""Solver: the cheapest option for every slot under a limit on the damage of all together, or the other way round.

A multiple-choice knapsack, solved exactly as an integer program by HiGHS (through scipy): minimise the cost of the
chosen options, one for each slot, so that their damages sum to no more than a bound, and what they use to what the
limits allow. Repairing the worst damage per cost, one slot after the other, is its greedy approximation.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.allocation.slots import Limit, Priced, Slots, Solution, total
from quantkit.errors import UsageError

Amount = Callable[[Priced], float]
"""What is summed over the chosen options."""


def cheapest(slots: Slots, limits: Sequence[Limit] = ()) -> Solution | None:
    """Return the cheapest options within the limits, the least damaging of equally cheap ones; None if there are none.

    Raises:
        UsageError: the limits bind, and scipy, which has the solver, is not installed.
    """
    free = total(slots, {slot: _cheapest_of(options) for slot, options in slots.items()})
    if all(limit.allows(free) for limit in limits):
        return free
    found = cheapest_within(slots, math.inf, limits)
    return None if found is None else least_damage_within(slots, found.cost, limits)


def cheapest_within(slots: Slots, damage: float, limits: Sequence[Limit] = ()) -> Solution | None:
    """Return the cheapest options whose damages sum to at most `damage`; None when there are none within the limits.

    Raises:
        UsageError: scipy, which has the solver, is not installed.
    """
    return _least(slots, _cost_of, [_Bound(amount=_damage_of, at_most=damage), *_bounds(slots, limits)])


def least_damage_within(slots: Slots, cost: float, limits: Sequence[Limit] = ()) -> Solution | None:
    """Return the least damaging options whose costs sum to at most `cost`; None when there are none within the limits.

    Raises:
        UsageError: scipy, which has the solver, is not installed.
    """
    return _least(slots, _damage_of, [_Bound(amount=_cost_of, at_most=cost), *_bounds(slots, limits)])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bound:
    """What an amount may sum to."""

    amount: Amount
    at_least: float = -math.inf
    at_most: float = math.inf


def _damage_of(option: Priced) -> float:
    return option.damage


def _cost_of(option: Priced) -> float:
    return option.cost


def _cheapest_of(options: Sequence[Priced]) -> int:
    return min(range(len(options)), key=lambda index: (options[index].cost, options[index].damage))


def _bounds(slots: Slots, limits: Sequence[Limit]) -> Iterator[_Bound]:
    """Yield the limits on uses.

    Raises:
        ValueError: a limit's name is that of no use, so a slip of the pen.
    """
    used = {name for options in slots.values() for option in options for name in option.uses}
    for limit in limits:
        if limit.name not in used:
            raise ValueError(f"no option says how much it uses of {limit.name!r}")

        def amount(option: Priced, name: str = limit.name) -> float:
            return option.uses.get(name, 0.0)

        yield _Bound(amount=amount, at_least=limit.at_least, at_most=limit.at_most)


def _least(slots: Slots, wanted: Amount, bounds: Sequence[_Bound]) -> Solution | None:
    """Return the options within the bounds of which `wanted` sums to the least; None when there are none."""
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError as error:
        raise UsageError(
            "the search needs the solver of scipy; install it with: pip install 'quantkit[auto]'"
        ) from error
    names = list(slots)
    columns = [(place, index) for place, name in enumerate(names) for index in range(len(slots[name]))]
    options = [slots[names[place]][index] for place, index in columns]
    one_each = np.zeros((len(names), len(columns)))
    for column, (place, _) in enumerate(columns):
        one_each[place, column] = 1
    constraints = [LinearConstraint(one_each, 1, 1)]
    for bound in bounds:
        amounts = np.array([bound.amount(option) for option in options])
        if bound.at_most < math.inf:
            row, most = _at_most(amounts, bound.at_most)
            constraints.append(LinearConstraint(row[None], -np.inf, most))
        if bound.at_least > -math.inf:
            row, least = _scaled(amounts, bound.at_least)
            constraints.append(LinearConstraint(row[None], least, np.inf))
    aims = np.array([wanted(option) for option in options])
    answer = milp(
        aims / max(float(np.abs(aims).max()), np.finfo(float).tiny),
        integrality=np.ones(len(columns)),
        bounds=Bounds(0, 1),
        constraints=constraints,
        # With presolve, HiGHS now and then prints a line of its own to standard output, where --json is.
        options={"mip_rel_gap": 0.0, "presolve": False},
    )
    if answer.x is None:
        return None
    taken = [column for column, share in zip(columns, answer.x, strict=True) if share > 0.5]
    return total(slots, {names[place]: index for place, index in taken})


def _at_most(amounts: np.ndarray, bound: float) -> tuple[np.ndarray, float]:
    """Return the row and the bound that say `sum of amounts <= bound`, as shares: nats are small.

    Where nothing is negative, an option that is beyond the bound by itself is beyond it, however far.
    """
    if amounts.min() < 0 or bound < 0:
        return _scaled(amounts, bound)
    if bound == 0:
        return np.where(amounts > 0, 2.0, 0.0), 1.0
    return np.minimum(amounts / bound, 2.0), 1.0


def _scaled(amounts: np.ndarray, bound: float) -> tuple[np.ndarray, float]:
    """Return amounts and bound in units of about the bound, as the solver's tolerance is absolute.

    The unit is a power of two, so that no sum is rounded otherwise.
    """
    size = abs(bound) or float(np.abs(amounts).max()) or 1.0
    unit = 2.0 ** round(math.log2(size))
    return amounts / unit, bound / unit
