"""Which of the candidates that were built is chosen."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from quantkit.shapes.search import Search


def candidate(name: str, *, cost: float, divergence: float, ratio: float = 1.0) -> Any:
    marks = SimpleNamespace(divergence=divergence, expected_ratio=ratio)
    return SimpleNamespace(name=name, cost=cost, judged=SimpleNamespace(marks=marks))


CANDIDATES = (
    candidate("near, too slow", cost=101, divergence=0.001, ratio=0.99),
    candidate("near", cost=100, divergence=0.02, ratio=0.98),
    candidate("fast", cost=80, divergence=0.04, ratio=0.95),
)


@pytest.mark.parametrize(
    ("cost", "ratio", "name"),
    [
        (100, None, "near"),
        (100, 0.99, "near"),
        (math.inf, 0.9, "fast"),
        (math.inf, 0.97, "near"),
        (50, None, "fast"),
    ],
)
def test_the_nearest_that_keeps_the_speed_is_chosen(cost: float, ratio: float | None, name: str) -> None:
    """No tolerance on the speed; with a ratio alone the fastest; where nothing is fast enough, what misses it least."""
    search = object.__new__(Search)
    search.goal = SimpleNamespace(cost=cost, ratio=ratio)  # type: ignore[assignment]
    search.candidates = list(CANDIDATES)
    assert search.chosen().name == name  # type: ignore[attr-defined]
