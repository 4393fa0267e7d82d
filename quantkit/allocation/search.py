"""Search: the cheapest solution that keeps the target, among those that cost least for the damage they do.

1. Begin with the cheapest option of every slot.
2. While it fails: limit the predicted damage in proportion to what was lost and what may be lost, and let the solver
   find the cheapest solution within the limit.
3. Between the last that failed and the first that passed: bisect (in the logarithm), as long as there is time.
4. Of what costs little more than the cheapest that passed (`slack`), the one that does the least damage: its cost is
   not known more exactly than that, and other text diverges more than the selection does.

Every candidate is built and answers the selection questions for real; predictions only order them. At least
`CONTEXT` candidates are measured even when the first passes, so that people see what more accuracy would cost.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from quantkit.allocation.slots import Limit, Slots, Solution
from quantkit.allocation.solver import cheapest, cheapest_within, least_damage_within
from quantkit.errors import UsageError

CONTEXT = 3
_REPAIRS = 8
_BISECTIONS = 2
# A repair takes the damage down by at least and at most this factor: predictions are no better.
_LEAST_STEP, _LARGEST_STEP = 0.7, 1 / 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is searched for.

    Attributes:
        target: least ratio to the score of the model that candidates are compared with.
        slack: share of the cheapest passing candidate's cost that may be added for less damage.
        deadline: `time.monotonic()` after which nothing new is begun; the first candidate is always measured.
        limits: what every candidate keeps, as predicted.
    """

    target: float
    slack: float
    deadline: float
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was found of a candidate when it was measured.

    Attributes:
        passed: it is good enough to be the result.
        expected_ratio_low: lower bound of its score over the score that it is to keep.
        divergence: of its answers, nats.
    """

    passed: bool
    expected_ratio_low: float
    divergence: float


Verify = Callable[[int, str, Solution], Verdict]
"""Builds a candidate, given its number and origin, and measures it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """All candidates in the order they were measured, and which is the result."""

    solutions: tuple[Solution, ...]
    verdicts: tuple[Verdict, ...]
    best: int

    @property
    def met(self) -> bool:
        """Whether the result keeps the target."""
        return self.verdicts[self.best].passed


def walk(slots: Slots, verify: Verify, asked: Asked) -> Found:
    """Return the candidates and the best: the least divergent within the slack that passed, else the most accurate.

    Args:
        slots: every slot's options.
        verify: builds and measures a candidate.
        asked: target, slack, limits and time.

    Raises:
        UsageError: no solution is within the limits, or the solver is not installed.
    """
    visits = _Visits(slots, verify, asked)
    visits.visit_cheapest()
    limit = visits.solutions[-1].damage
    for _ in range(_REPAIRS):
        if visits.passed is not None and len(visits.verdicts) >= CONTEXT:
            break
        limit *= _step(visits.verdicts[-1], asked.target)
        visits.visit_within(limit)
    for _ in range(_BISECTIONS):
        if visits.passed is None or visits.failed is None or visits.failed.damage <= visits.passed.damage:
            break
        visits.visit_within(math.sqrt(visits.failed.damage * visits.passed.damage))
    visits.visit_beside_passed()
    return visits.found()


def _step(verdict: Verdict, target: float) -> float:
    """Return how much of a candidate's damage may stay: the loss grows with the damage."""
    lost, allowed = 1 - verdict.expected_ratio_low, 1 - target
    share = allowed / lost if lost > 0 else _LEAST_STEP
    return min(_LEAST_STEP, max(_LARGEST_STEP, share))


class _Visits:
    """What was visited so far."""

    def __init__(self, slots: Slots, verify: Verify, asked: Asked) -> None:
        self._slots = slots
        self._verify = verify
        self._asked = asked
        self.solutions: list[Solution] = []
        self.verdicts: list[Verdict] = []

    @property
    def passed(self) -> Solution | None:
        """The cheapest that passed."""
        return min(self._with(passed=True), key=lambda solution: solution.cost, default=None)

    @property
    def failed(self) -> Solution | None:
        """The least damaging that failed."""
        return min(self._with(passed=False), key=lambda solution: solution.damage, default=None)

    @property
    def _late(self) -> bool:
        return time.monotonic() >= self._asked.deadline

    def _with(self, *, passed: bool) -> list[Solution]:
        pairs = zip(self.solutions, self.verdicts, strict=True)
        return [solution for solution, verdict in pairs if verdict.passed is passed]

    def visit_cheapest(self) -> None:
        """Visit the cheapest of all, whatever the time is."""
        solution = cheapest(self._slots, self._asked.limits)
        if solution is None:
            limits = "; ".join(str(limit) for limit in self._asked.limits)
            raise UsageError(f"no choice of options is within the limits ({limits}); ask for less")
        self._visit("fastest options", solution)

    def visit_within(self, damage: float) -> None:
        """Visit the cheapest within a damage, or else the least damaging, unless time is up or it is known."""
        if self._late:
            return
        limits = self._asked.limits
        if (solution := cheapest_within(self._slots, damage, limits)) is not None:
            self._visit(f"damage up to {damage:.2g} nats", solution)
        elif (solution := least_damage_within(self._slots, math.inf, limits)) is not None:
            self._visit("least damage", solution)

    def visit_beside_passed(self) -> None:
        """Visit the least damaging solution that costs little more than the cheapest that passed."""
        if self.passed is None or self._asked.slack == 0 or self._late:
            return
        solution = least_damage_within(self._slots, self._affordable(self.passed), self._asked.limits)
        if solution is not None:
            self._visit(f"least damage for {self._asked.slack:.0%} more cost", solution)

    def _affordable(self, cheapest: Solution) -> float:
        return cheapest.cost * (1 + self._asked.slack)

    def _visit(self, origin: str, solution: Solution) -> None:
        """Measure a solution that was not visited before."""
        if any(known.chosen == solution.chosen for known in self.solutions):
            return
        self.verdicts.append(self._verify(len(self.verdicts), origin, solution))
        self.solutions.append(solution)

    def found(self) -> Found:
        """Return everything, with the best within the slack of those that passed, else the one nearest to passing."""
        places = range(len(self.verdicts))
        passed = self.passed
        if passed is None:
            best = max(places, key=lambda place: self.verdicts[place].expected_ratio_low)
        else:
            limit = self._affordable(passed)
            passing = [
                place
                for place in places
                if self.verdicts[place].passed and self.solutions[place].cost <= limit
            ]
            best = min(passing, key=lambda place: self.verdicts[place].divergence)
        return Found(solutions=tuple(self.solutions), verdicts=tuple(self.verdicts), best=best)
