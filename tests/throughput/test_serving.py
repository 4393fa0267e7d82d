"""A load of random arrivals: dynamic batches, latencies from when a query was due, and the highest rate that holds."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import EvaluationError
from quantkit.runtime.profile import RuntimeProfile
from quantkit.throughput.serving import (
    HighestRate,
    Trial,
    arrival_times,
    fitting,
    highest_rates,
    late_allowed,
    lone_latency,
    serve,
)
from quantkit.throughput.workload import Workload

Make = Callable[..., Workload]


def test_arrivals_are_poisson() -> None:
    """Gaps have the mean and the spread of an exponential; a seed repeats itself, and rates only stretch it."""
    slow, fast = arrival_times(20_000, 10, seed=3), arrival_times(20_000, 40, seed=3)
    gaps = np.diff(slow)
    assert gaps.mean() == pytest.approx(0.1, rel=0.03)
    assert gaps.std() == pytest.approx(0.1, rel=0.05)
    np.testing.assert_allclose(slow, 4 * fast, rtol=1e-12)
    assert not np.array_equal(slow, arrival_times(20_000, 10, seed=4))


@pytest.mark.parametrize(("count", "late"), [(1, 0), (99, 0), (100, 1), (200, 2), (1000, 10)])
def test_late_allowed(count: int, late: int) -> None:
    """With so many late at least 99 % are not, and with one more they would be fewer."""
    assert late == late_allowed(count)
    assert (count - late) / count >= 0.99 > (count - late - 1) / count


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.booleans(), st.sampled_from([None, 1, 3]))
def test_batch_of_what_waits(lengths: list[int], equal: bool, most: int | None) -> None:
    """The oldest always goes; nothing goes twice; budget, rows and equal lengths are kept."""
    profile = RuntimeProfile(instances=1, token_budget=60, equal_lengths=equal, max_batch=most)
    places = fitting(lengths, profile)
    taken = [lengths[place] for place in places]
    assert places[0] == 0
    assert sorted(set(places)) == places
    assert len(places) == 1 or len(places) * max(taken) <= 60
    assert len(places) <= (most or math.inf)
    assert not equal or len(set(taken)) == 1


def test_every_query_is_answered_once(make_load: Make) -> None:
    """Nothing is lost or asked twice, with an engine that answers at once and with one that takes its time."""
    for seconds, workers in ((0.0, 1), (0.001, 2)):
        load = make_load(50, seconds=seconds, workers=workers)
        trial = serve(load, rate=5000.0, bound=60.0, seed=0)
        assert (trial.held, len(trial.latencies)) == (True, 50)
        assert sum(rows for rows, _ in load.engine.shapes) == 50  # type: ignore[attr-defined]
        assert all(latency >= 0 for latency in trial.latencies)


def test_what_waits_is_batched(make_load: Make) -> None:
    """While an instance is busy, queries gather, and go together afterwards."""
    load = make_load(40, seconds=0.02, workers=1, token_budget=60)
    assert serve(load, rate=4000.0, bound=60.0, seed=0).held
    shapes = load.engine.shapes  # type: ignore[attr-defined]
    assert len(shapes) < 20
    assert max(rows for rows, _ in shapes) > 1


def test_hopeless_trial_is_broken_off(make_load: Make) -> None:
    """As soon as too many are late, the rest is not waited for."""
    load = make_load(500, seconds=0.01, workers=1, max_batch=1)
    trial = serve(load, rate=1e6, bound=0.015, seed=0)
    assert not trial.held
    assert len(load.engine.shapes) < 50  # type: ignore[attr-defined]


def test_an_error_ends_the_trial(make_load: Make) -> None:
    """What the engine raises comes out, and nothing hangs."""
    for seconds in (0.0, 0.001):
        load = make_load(10, seconds=seconds, error=EvaluationError("x: cannot run"))
        with pytest.raises(EvaluationError, match="x: cannot run"):
            serve(load, rate=1000.0, bound=60.0, seed=0)


@given(st.floats(50, 5000), st.floats(50, 500))
def test_the_highest_rate_is_found(limit: float, start: float) -> None:
    """Wherever it begins, it ends just below the highest rate that holds; fewer trials are less exact."""
    highest = HighestRate(start, factor=1.6, steps=14)
    while not highest.done:
        rate = highest.rate
        highest.tell(Trial(rate=rate, held=rate <= limit, latencies=()))
    assert highest.best is not None
    assert highest.best.rate <= limit <= highest.best.rate * 1.2


def test_no_rate_is_found() -> None:
    """When nothing holds, it ends at a small share of where it began, after few trials."""
    highest, rates = HighestRate(100.0, factor=1.6, steps=4), []
    while not highest.done:
        rates.append(highest.rate)
        highest.tell(Trial(rate=highest.rate, held=False, latencies=()))
    assert highest.best is None
    assert min(rates) >= 2
    assert len(rates) <= 6


def test_lone_latency(make_load: Make) -> None:
    """A long query by itself: of few rows the longest, the fastest of three times."""
    load, ticks = make_load(5), iter([0.0, 3.0, 10.0, 12.0, 20.0, 25.0])
    assert lone_latency(load, lambda: next(ticks)) == 2.0
    assert load.engine.shapes == [(1, 6)] * 3  # type: ignore[attr-defined]


def test_rates_are_tried_in_turns() -> None:
    """Trials of several contestants alternate."""
    order: list[int] = []

    def try_rate(index: int, rate: float) -> Trial:
        order.append(index)
        return Trial(rate=rate, held=rate <= 10 * (index + 1), latencies=())

    sought = [HighestRate(10.0, factor=1.2, steps=3) for _ in range(2)]
    highest_rates(sought, try_rate, lambda: None)
    assert order == [0, 1] * 3
