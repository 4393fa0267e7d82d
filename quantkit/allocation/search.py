"""Search: the fastest assignment that keeps the target, among those that cost least for the damage they do.

1. Begin with the fastest option of every group.
2. While it fails: limit the predicted damage in proportion to what was lost and what may be lost, and let the solver
   find the cheapest assignment within the limit.
3. Between the last that failed and the first that passed: bisect (in the logarithm), as long as there is time.
4. Of what costs little more than the cheapest that passed (`slack`), the one that does the least damage: its cost is
   not known more exactly than that, and other text diverges more than the selection does.

Every candidate is built and answers the selection questions for real; predictions only order them. At least
`CONTEXT` candidates are measured even when the first passes, so that people see what more accuracy would cost.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from quantkit.allocation.solver import Priced, Solution, cheapest_within, fastest, least_damage_within
from quantkit.recipe.settings import AutoSettings
from quantkit.records import CandidateRecord

CONTEXT = 3
_REPAIRS = 8
_BISECTIONS = 2
# A repair takes the damage down by at least and at most this factor: predictions are no better.
_LEAST_STEP, _LARGEST_STEP = 0.7, 1 / 16

Verify = Callable[[int, str, Solution], CandidateRecord]
"""Builds a candidate, given its number and origin, and measures it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """All candidates in the order they were measured, and which is the result."""

    candidates: tuple[CandidateRecord, ...]
    solutions: tuple[Solution, ...]
    best: int

    @property
    def met(self) -> bool:
        """Whether the result keeps the target."""
        return self.candidates[self.best].passed


def search(
    priced: Mapping[str, Sequence[Priced]],
    verify: Verify,
    asked: AutoSettings,
    *,
    deadline: float,
) -> Found:
    """Return the candidates and the best: the least divergent within the slack that passed, else the most accurate.

    Args:
        priced: every group's options.
        verify: builds and measures a candidate.
        asked: target, slack and least coverage; the budget is in the deadline.
        deadline: `time.monotonic()` after which nothing new is begun; the first candidate is always measured.

    Raises:
        UsageError: the solver is not installed.
    """
    walk = _Walk(priced, verify, asked, deadline)
    walk.visit("fastest", fastest(priced, asked.min_int8_coverage))
    limit = walk.last.damage
    for _ in range(_REPAIRS):
        if walk.passed is not None and len(walk.candidates) >= CONTEXT:
            break
        limit *= _step(walk.candidates[-1], asked.target)
        walk.visit_within(limit)
    for _ in range(_BISECTIONS):
        if walk.passed is None or walk.failed is None or walk.failed.damage <= walk.passed.damage:
            break
        walk.visit_within(math.sqrt(walk.failed.damage * walk.passed.damage))
    walk.visit_beside_passed()
    return walk.found()


def _step(candidate: CandidateRecord, target: float) -> float:
    """Return how much of a candidate's damage may stay: the loss grows with the damage."""
    lost, allowed = 1 - candidate.expected_ratio_low, 1 - target
    share = allowed / lost if lost > 0 else _LEAST_STEP
    return min(_LEAST_STEP, max(_LARGEST_STEP, share))


class _Walk:
    """What was visited so far."""

    def __init__(
        self,
        priced: Mapping[str, Sequence[Priced]],
        verify: Verify,
        asked: AutoSettings,
        deadline: float,
    ) -> None:
        self._priced = priced
        self._verify = verify
        self._slack = asked.slack
        self._coverage = asked.min_int8_coverage
        self._deadline = deadline
        self.candidates: list[CandidateRecord] = []
        self._solutions: list[Solution] = []

    @property
    def passed(self) -> Solution | None:
        """The cheapest that passed."""
        return min(self._with(passed=True), key=lambda solution: solution.cost_us, default=None)

    @property
    def failed(self) -> Solution | None:
        """The least damaging that failed."""
        return min(self._with(passed=False), key=lambda solution: solution.damage, default=None)

    @property
    def last(self) -> Solution:
        """The last that was visited."""
        return self._solutions[-1]

    def _with(self, *, passed: bool) -> list[Solution]:
        pairs = zip(self._solutions, self.candidates, strict=True)
        return [solution for solution, candidate in pairs if candidate.passed is passed]

    def visit_within(self, limit: float) -> None:
        """Visit the cheapest within a damage, or else the least damaging, unless time is up or it is known."""
        if time.monotonic() >= self._deadline:
            return
        if (solution := cheapest_within(self._priced, limit, self._coverage)) is not None:
            self.visit(f"damage up to {limit:.2g} nats", solution)
        elif (solution := least_damage_within(self._priced, math.inf, self._coverage)) is not None:
            self.visit("least damage", solution)

    def visit_beside_passed(self) -> None:
        """Visit the least damaging solution that costs little more than the cheapest that passed."""
        if self.passed is None or self._slack == 0 or time.monotonic() >= self._deadline:
            return
        solution = least_damage_within(self._priced, self._affordable(self.passed), self._coverage)
        if solution is not None:
            self.visit(f"least damage for {self._slack:.0%} more cost", solution)

    def _affordable(self, cheapest: Solution) -> float:
        return cheapest.cost_us * (1 + self._slack)

    def visit(self, origin: str, solution: Solution) -> None:
        """Measure a solution that was not visited before."""
        if any(known.chosen == solution.chosen for known in self._solutions):
            return
        self.candidates.append(self._verify(len(self.candidates), origin, solution))
        self._solutions.append(solution)

    def found(self) -> Found:
        """Return everything, with the best within the slack of those that passed, else the one nearest to passing."""
        places = range(len(self.candidates))
        cheapest = self.passed
        if cheapest is None:
            best = max(places, key=lambda place: self.candidates[place].expected_ratio_low)
        else:
            limit = self._affordable(cheapest)
            passing = [
                place
                for place in places
                if self.candidates[place].passed and self._solutions[place].cost_us <= limit
            ]
            best = min(passing, key=lambda place: self.candidates[place].divergence)
        return Found(candidates=tuple(self.candidates), solutions=tuple(self._solutions), best=best)
