"""Passes of batches become rates."""

from collections.abc import Callable

import pytest

from quantkit.throughput.workload import Workload, percentiles


def test_offline_rate(make_load: Callable[..., Workload]) -> None:
    """Rows divided by the seconds of a pass."""
    load, ticks = make_load(12), iter([10.0, 14.0])
    assert load.offline_rate(lambda: next(ticks)) == 3.0


def test_warm_up_takes_the_largest_batch(make_load: Callable[..., Workload]) -> None:
    """Each worker runs the batch of the most tokens once."""
    load = make_load(12, workers=2, equal_lengths=True)
    load.warm_up()
    assert load.engine.shapes == [(4, 6), (4, 6)]  # type: ignore[attr-defined]


def test_percentiles() -> None:
    """A percentile is a latency that was really seen; of none there are none."""
    assert percentiles([0.001 * n for n in range(1, 101)]) == pytest.approx(
        {"p50": 50.0, "p90": 90.0, "p99": 99.0}
    )
    assert percentiles([]) == {}
