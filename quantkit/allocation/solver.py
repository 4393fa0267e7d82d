"""Solver: the cheapest choice for every group under a limit on the damage of all together, or the other way round.

A multiple-choice knapsack, solved exactly as an integer program by HiGHS (through scipy): minimise the cost of the
chosen options, one for each group, so that their damages sum to no more than the limit and enough of the model runs in
integers. Repairing the worst damage per
microsecond, one group after the other, is its greedy approximation.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Priced:
    """One option of one group.

    Attributes:
        damage: predicted, in nats.
        cost_us: measured, in microseconds per 1,000 tokens.
        coverage: share of the whole model's linear MACs that it runs in integers; 0 for FP32. A solution in which
            nothing is quantized is none.
        extra: MACs that come on top of the model's, in float, as a share of them: those of outlier channels.
    """

    damage: float
    cost_us: float
    coverage: float = 1.0
    extra: float = 0.0

    @property
    def quantized(self) -> bool:
        """Whether it is not FP32."""
        return self.coverage > 0

    def towards(self, coverage: float) -> float:
        """Return what it adds to a sum that is to reach `coverage`: integer MACs ≥ coverage · (1 + extra MACs)."""
        return self.coverage - coverage * self.extra


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """Group → index of its option, and the sums over all groups."""

    chosen: dict[str, int]
    damage: float
    cost_us: float


def fastest(priced: Mapping[str, Sequence[Priced]], coverage: float = 0.0) -> Solution:
    """Return the cheapest option of every group, the least damaging of equally cheap ones.

    Where that is FP32 everywhere, the group in which quantizing costs least is quantized; where it does not reach the
    coverage, the cheapest that does is returned, if there is one.

    Raises:
        UsageError: the solver is needed, and scipy, which has it, is not installed.
    """

    def cost(group: str, place: int) -> tuple[float, float]:
        return priced[group][place].cost_us, priced[group][place].damage

    chosen = {
        group: min(range(len(options)), key=lambda place: cost(group, place))
        for group, options in priced.items()
    }
    if not any(priced[group][place].quantized for group, place in chosen.items()):
        _, _, group, place = min(
            (option.cost_us - options[chosen[group]].cost_us, option.damage, group, place)
            for group, options in priced.items()
            for place, option in enumerate(options)
            if option.quantized
        )
        chosen[group] = place
    found = total(priced, chosen)
    if sum(priced[group][place].towards(coverage) for group, place in chosen.items()) >= coverage:
        return found
    return cheapest_within(priced, math.inf, coverage) or found


def cheapest_within(
    priced: Mapping[str, Sequence[Priced]], limit: float, coverage: float = 0.0
) -> Solution | None:
    """Return the cheapest options whose damages sum to at most `limit`, not all FP32; None when there are none.

    Args:
        priced: every group's options.
        limit: nats.
        coverage: least share of all MACs in integers.

    Raises:
        UsageError: scipy, which has the solver, is not installed.
    """
    return _least(priced, lambda option: option.cost_us, lambda option: option.damage, limit, coverage)


def least_damage_within(
    priced: Mapping[str, Sequence[Priced]], limit: float, coverage: float = 0.0
) -> Solution | None:
    """Return the least damaging options whose costs sum to at most `limit` µs, not all FP32; None when there are none.

    Args:
        priced: every group's options.
        limit: microseconds per 1,000 tokens.
        coverage: least share of all MACs in integers.

    Raises:
        UsageError: scipy, which has the solver, is not installed.
    """
    return _least(priced, lambda option: option.damage, lambda option: option.cost_us, limit, coverage)


def _least(
    priced: Mapping[str, Sequence[Priced]],
    wanted: Callable[[Priced], float],
    limited: Callable[[Priced], float],
    limit: float,
    coverage: float,
) -> Solution | None:
    """Return the options that cover enough, of which `limited` sums to at most `limit` and `wanted` to the least."""
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError as error:
        raise UsageError(
            "mode auto needs the solver of scipy; install it with: pip install 'quantkit[auto]'"
        ) from error
    groups = list(priced)
    columns = [(place, index) for place, group in enumerate(groups) for index in range(len(priced[group]))]
    options = [priced[groups[place]][index] for place, index in columns]
    one_each = np.zeros((len(groups), len(columns)))
    for column, (place, _) in enumerate(columns):
        one_each[place, column] = 1
    # As shares: the solver's tolerance is absolute, and nats are small. What is beyond the limit is beyond it.
    shares = np.array([[_share(limited(option), limit) for option in options]])
    aims = np.array([wanted(option) for option in options])
    quantized = np.array([[float(option.quantized) for option in options]])
    covered = np.array([[option.towards(coverage) for option in options]])
    answer = milp(
        aims / max(float(aims.max()), np.finfo(float).tiny),
        integrality=np.ones(len(columns)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(shares, -np.inf, 1),
            LinearConstraint(quantized, 1, np.inf),
            LinearConstraint(covered, coverage, np.inf),
        ],
        # With presolve, HiGHS now and then prints a line of its own to standard output, where --json is.
        options={"mip_rel_gap": 0.0, "presolve": False},
    )
    if answer.x is None:
        return None
    taken = [column for column, share in zip(columns, answer.x, strict=True) if share > 0.5]
    return total(priced, {groups[place]: index for place, index in taken})


def _share(amount: float, limit: float) -> float:
    if amount <= 0:
        return 0.0
    return min(amount / limit, 2.0) if limit > 0 else 2.0


def total(priced: Mapping[str, Sequence[Priced]], chosen: Mapping[str, int]) -> Solution:
    """Return a choice with its sums."""
    options = [priced[group][index] for group, index in chosen.items()]
    return Solution(
        chosen=dict(chosen),
        damage=sum(option.damage for option in options),
        cost_us=sum(option.cost_us for option in options),
    )
