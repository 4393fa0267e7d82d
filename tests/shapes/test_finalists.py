"""Which candidates are timed once more, and what that decides."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from quantkit.records.shapes import UNIFORM
from quantkit.shapes.blocks import Block
from quantkit.shapes.candidate import Candidate
from quantkit.shapes.finalists import finalists
from quantkit.shapes.search import Search
from quantkit.throughput import Spread

BLOCK = Block(layer=0, kind="feed_forward", path="", units=64, size=1, hidden=32)


def candidate(origin: str, units: int, *, cost: float, divergence: float) -> Candidate:
    judged: Any = SimpleNamespace(marks=SimpleNamespace(divergence=divergence, expected_ratio=1 - divergence))
    return Candidate(
        origin=origin, units={BLOCK: units}, damage=0.0, predicted=cost, cost=cost, judged=judged
    )


NEAR = candidate("near, too slow", 60, cost=104, divergence=0.01)
CHOSEN = candidate("chosen", 50, cost=100, divergence=0.02)
BESIDE = candidate("behind by little", 49, cost=99, divergence=0.021)
BEHIND = candidate("behind", 48, cost=99, divergence=0.05)
FAST = candidate("fast", 40, cost=80, divergence=0.03)
SLOW = candidate("far too slow", 63, cost=110, divergence=0.001)
ALIKE = candidate(UNIFORM, 45, cost=100, divergence=0.2)
ALL = [NEAR, CHOSEN, BESIDE, BEHIND, FAST, SLOW, ALIKE]


def test_finalists_are_on_the_front_or_near_it() -> None:
    """The best first, then what is nearer and slower by little; not what is worse in both, but the uniform one."""
    found = finalists(ALL, CHOSEN, most=100, ratio=None)
    assert [one.origin for one in found] == ["chosen", "near, too slow", "behind by little", "fast", UNIFORM]


def test_where_none_keeps_the_limit_those_that_miss_it_by_little_more_are_compared() -> None:
    """Which of them misses it least is what the result is chosen by."""
    found = finalists([NEAR, CHOSEN, FAST, SLOW], CHOSEN, most=50, ratio=None)
    assert [one.origin for one in found] == ["chosen", "near, too slow", "fast"]


def test_without_a_limit_on_speed_the_fast_ones_that_keep_the_ratio_come_first() -> None:
    """What fails the ratio is last."""
    found = finalists([CHOSEN, FAST, ALIKE], FAST, most=math.inf, ratio=0.975)
    assert [one.origin for one in found] == ["fast", "chosen", UNIFORM]


def test_one_candidate_alone_is_not_timed_again() -> None:
    """It was timed beside the teacher when it was built."""
    assert finalists([CHOSEN, SLOW], CHOSEN, most=100, ratio=None) == []


@pytest.mark.parametrize(("near", "chosen"), [(2.0, "near, too slow"), (1.9, "chosen")])
def test_the_choice_is_by_what_was_timed_together(near: float, chosen: str) -> None:
    """One that seemed too slow and keeps the limit beside the others is chosen; equal shapes have equal times."""
    medians = {50: 2.5, 60: near}

    def paces(models: Any) -> list[Spread]:
        assert models[0] == {BLOCK: 64}
        return [
            Spread(median=medians[units[BLOCK]], low=1.0, high=3.0, interval=(1.0, 3.0))
            for units in models[1:]
        ]

    search = object.__new__(Search)
    search.goal = SimpleNamespace(cost=100, ratio=None)  # type: ignore[assignment]
    search.trials = SimpleNamespace(paces=paces)  # type: ignore[assignment]
    search.teacher = candidate("teacher", 64, cost=200, divergence=0.0)
    twin = candidate("uniform by magnitude", 60, cost=107, divergence=0.5)
    search.candidates = [CHOSEN, NEAR, twin, SLOW]
    search.decide()
    assert [one.cost for one in search.candidates] == [80, 200 / near, 200 / near, 110]
    assert [one.again is None for one in search.candidates] == [False, False, False, True]
    assert search.chosen().origin == chosen
