"""Things that are timed in turns."""

from collections.abc import Callable

import pytest

from quantkit.latency import turns
from quantkit.latency.turns import in_turns


def test_ratios_are_of_one_round_and_the_first_round_warms_up() -> None:
    """Each round runs all of them once, in order; a machine that is twice as slow for a round changes no ratio."""
    order: list[int] = []

    def run(number: int, seconds: list[float]) -> Callable[[], float]:
        def once() -> float:
            order.append(number)
            return seconds[order.count(number) - 1]

        return once

    found = in_turns([run(0, [9.0, 2.0, 4.0]), run(1, [9.0, 1.0, 2.0]), run(2, [9.0, 4.0, 8.0])], rounds=2)
    assert found == [[2.0, 2.0], [0.5, 0.5]]
    assert order == [0, 1, 2] * 3


def test_a_few_rounds_however_little_time_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The budget ends it after the least number of rounds."""
    found = in_turns([lambda: 1.0, lambda: 1.0], rounds=50, seconds=0.0)
    assert found == [[1.0] * turns._LEAST_ROUNDS]
