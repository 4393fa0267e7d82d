"""Search: which candidates are measured, in which order, and which of them is the result."""

import math
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.allocation.search import CONTEXT, Asked, Found, Verdict, walk
from quantkit.allocation.slots import Limit, Priced, Solution
from quantkit.errors import UsageError

pytest.importorskip("scipy", reason="the solver is scipy's (pip install quantkit[auto])")

TARGET = 0.99
# Eight slots: fast and damaging, slower and less so, as it was. The total damage of the fastest is 0.08.
SLOTS = {
    f"slot {number}": (
        Priced(damage=0.01 * (1 + (number - 3.5) / 8), cost=100.0 + number, uses={"covered": 1 / 8}),
        Priced(damage=0.001, cost=200.0, uses={"covered": 1 / 8}),
        Priced(damage=0.0, cost=400.0, uses={"covered": 0.0}),
    )
    for number in range(8)
}
FAR = math.inf


class Fake:
    """Measures candidates by a formula and remembers what it measured."""

    def __init__(self, loss: Callable[[Solution], float]) -> None:
        self.loss = loss
        self.visited: list[Solution] = []
        self.origins: list[str] = []

    def verify(self, number: int, origin: str, solution: Solution) -> Verdict:
        """Return a verdict that loses what the formula says."""
        assert len(self.visited) == number
        self.visited.append(solution)
        self.origins.append(origin)
        low = 1 - self.loss(solution)
        return Verdict(passed=low >= TARGET, expected_ratio_low=low, divergence=solution.damage)

    def search(self, *, slack: float = 0.0, coverage: float = 0.0, deadline: float = FAR) -> Found:
        """Search with it."""
        limits = (Limit(name="covered", at_least=coverage),)
        return walk(SLOTS, self.verify, Asked(target=TARGET, slack=slack, deadline=deadline, limits=limits))


def costs(found: Found) -> list[float]:
    return [solution.cost for solution in found.solutions]


def test_fastest_that_passes_is_the_result_and_others_give_context() -> None:
    """When the first passes it is the best; what more accuracy would cost is measured all the same."""
    fake = Fake(lambda solution: 0.0)
    found = fake.search()
    assert (found.best, found.met, len(found.verdicts)) == (0, True, CONTEXT)
    assert fake.origins[0] == "fastest options"
    assert sorted(costs(found)) == costs(found)


def test_damage_is_taken_down_until_one_passes() -> None:
    """Each repair is slower and less damaging than the one before; the first that passes ends them."""
    fake = Fake(lambda solution: solution.damage)
    found = fake.search()
    assert found.met
    repairs = [solution.damage for solution in fake.visited[: found.best + 1]]
    assert sorted(repairs, reverse=True) == repairs
    assert fake.loss(found.solutions[found.best]) <= 1 - TARGET


def test_bisection_finds_what_is_cheaper_between() -> None:
    """Between the last that failed and the first that passed others are tried, and the cheapest that passes wins."""

    # Repairs go by a loss that is ten times too large near the target, so the first that passes is too careful.
    def loss(solution: Solution) -> float:
        return 0.5 if solution.damage > 0.05 else 0.0

    found = Fake(loss).search()
    passing = [
        solution.cost
        for solution, verdict in zip(found.solutions, found.verdicts, strict=True)
        if verdict.passed
    ]
    first = passing[0]
    assert found.met
    assert min(passing) < first
    assert min(passing) == found.solutions[found.best].cost


def test_slack_is_spent_on_less_damage() -> None:
    """What costs at most so much more than the cheapest that passed, and does less damage, is measured and taken."""
    exact = Fake(lambda solution: solution.damage).search()
    cheapest = exact.solutions[exact.best]
    fake = Fake(lambda solution: solution.damage)
    found = fake.search(slack=0.3)
    best = found.solutions[found.best]
    assert fake.origins[-1] == "least damage for 30% more cost"
    assert best.cost <= 1.3 * cheapest.cost
    assert best.damage < cheapest.damage


@pytest.mark.parametrize("slack", [0.0, 0.5])
def test_candidates_cover_enough(slack: float) -> None:
    """A strict target leaves slots as they were; nothing is built that is beyond a limit."""
    strict = Fake(lambda solution: solution.damage * 5)
    free = strict.search(slack=slack)
    assert min(solution.uses["covered"] for solution in free.solutions) < 0.9
    bound = Fake(lambda solution: solution.damage * 5).search(slack=slack, coverage=0.9)
    assert min(solution.uses["covered"] for solution in bound.solutions) >= 0.9


def test_slack_is_not_spent_on_what_fails() -> None:
    """A candidate that predictions promise less damage for, and that fails all the same, is not the result."""

    def loss(solution: Solution) -> float:
        return 0.0 if len(fake.visited) <= CONTEXT else 0.5

    fake = Fake(loss)
    found = fake.search(slack=1.0)
    assert found.verdicts[found.best].passed
    assert len(found.verdicts) > CONTEXT
    assert found.best < CONTEXT


def test_nothing_passes() -> None:
    """The result is then the nearest to the target, and is marked."""
    fake = Fake(lambda solution: 0.02 + abs(solution.damage - 0.03))
    found = fake.search()
    losses = [fake.loss(solution) for solution in found.solutions]
    assert not found.met
    assert losses.index(min(losses)) == found.best
    assert len(losses) > CONTEXT


@pytest.mark.parametrize("loss", [0.0, 0.5])
def test_deadline_stops_but_the_first_is_measured(loss: float) -> None:
    """A search whose time is up has one candidate, whatever it is worth."""
    found = Fake(lambda solution: loss).search(deadline=time.monotonic() - 1)
    assert (1, 0, loss == 0) == (len(found.verdicts), found.best, found.met)


def test_deadline_within_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured before the deadline counts."""
    now = iter(range(100))
    monkeypatch.setattr("quantkit.allocation.search.time.monotonic", lambda: next(now))
    found = Fake(lambda solution: solution.damage).search(deadline=1.5)
    assert len(found.verdicts) == 3


@settings(max_examples=40)
@given(
    threshold=st.floats(0.0, 0.1),
    slope=st.floats(0.0, 20.0),
    slack=st.sampled_from([0.0, 0.05, 0.5]),
    noise=st.lists(st.floats(-0.02, 0.02), min_size=30, max_size=30),
)
def test_whatever_is_measured(threshold: float, slope: float, slack: float, noise: list[float]) -> None:
    """No candidate is built twice, never more than 13, and the best is, within the slack, the least divergent."""
    fake = Fake(lambda solution: slope * (solution.damage - threshold) + noise[len(fake.visited) - 1])
    found = fake.search(slack=slack)
    chosen = [tuple(sorted(solution.chosen.items())) for solution in found.solutions]
    assert len(set(chosen)) == len(chosen) <= 13
    assert fake.visited == list(found.solutions)
    passing = [
        solution for solution, verdict in zip(found.solutions, found.verdicts, strict=True) if verdict.passed
    ]
    assert bool(passing) == found.met
    if passing:
        limit = (1 + slack) * min(solution.cost for solution in passing)
        within = [solution.damage for solution in passing if solution.cost <= limit]
        assert min(within) == found.solutions[found.best].damage
    else:
        lows = [verdict.expected_ratio_low for verdict in found.verdicts]
        assert max(lows) == lows[found.best]


def test_slots_that_do_no_damage_at_all() -> None:
    """Damages of 0 leave one candidate: there is nothing between."""
    slots = {"a": (Priced(damage=0.0, cost=1.0), Priced(damage=0.0, cost=2.0))}
    fake = Fake(lambda solution: 0.5)
    found = walk(slots, fake.verify, Asked(target=TARGET, slack=0.0, deadline=FAR))
    assert (len(found.verdicts), found.met) == (1, False)


def test_limits_that_nothing_keeps() -> None:
    """Nothing is built, and the line names the limits."""
    fake = Fake(lambda solution: 0.0)
    with pytest.raises(UsageError, match=r"^no choice .* within the limits \(covered at least 1.5\)"):
        fake.search(coverage=1.5)
    assert fake.visited == []
