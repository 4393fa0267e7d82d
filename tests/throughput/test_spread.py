"""A median comes with an interval that encloses it, whatever the noise looks like."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.throughput.spread import CONFIDENCE, spread_of

NUMBERS = st.lists(st.floats(0.1, 100), min_size=1, max_size=40)


@given(NUMBERS)
def test_order(values: list[float]) -> None:
    """The order is low <= interval <= high, and the median is inside all of them."""
    found = spread_of(values)
    assert found.low == min(values) <= found.interval[0] <= found.median <= found.interval[1] <= found.high
    assert found.high == max(values)
    assert found.width >= 0


@pytest.mark.parametrize(
    ("count", "inwards"), [(1, 0), (2, 0), (5, 0), (7, 0), (8, 1), (10, 1), (11, 2), (20, 5)]
)
def test_interval_of_ranks(count: int, inwards: int) -> None:
    """So many smallest and largest measurements lie outside: the table of the sign test at 90 %."""
    found = spread_of(list(range(count)))
    assert (inwards, count - 1 - inwards) == found.interval


def test_interval_encloses_the_median() -> None:
    """With skewed noise it encloses the true median at least as often as promised."""
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(1000):
        low, high = spread_of(list(random.exponential(size=12))).interval
        inside += low <= math.log(2) <= high
    assert inside / 1000 > CONFIDENCE - 0.03


def test_width_is_relative() -> None:
    """The width does not depend on the unit; all the same is no spread, and around zero nothing is sure."""
    assert spread_of([1, 2, 3]).width == spread_of([10, 20, 30]).width == 1.0
    assert spread_of([0.0, 0.0]).width == 0.0
    assert math.inf == spread_of([-1.0, 0.0, 1.0]).width
