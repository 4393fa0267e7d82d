"""Turns: several things timed one after the other, round after round, and how many times as fast as the first each is.

What slows the machine down for longer than a round slows all of them, so the ratio of one round hardly changes with it;
of the ratios of all rounds the median counts (`quantkit.throughput.spread`).
"""

import time
from collections.abc import Callable, Sequence

from quantkit.progress import track

_LEAST_ROUNDS = 5
"""That are measured, however little time there is."""


def in_turns(
    runs: Sequence[Callable[[], float]], *, rounds: int, seconds: float | None = None
) -> list[list[float]]:
    """Return how many times as fast as the first each of the others is, once for each round.

    Args:
        runs: each does its work once, and returns the seconds that it took.
        rounds: so many count; one more before them warms up.
        seconds: after which no round is begun once a few were measured; None: never.
    """
    ratios: list[list[float]] = [[] for _ in runs[1:]]
    started = time.monotonic()
    with track("time", rounds + 1, "rounds") as advance:
        for number in range(rounds + 1):
            if seconds is not None and number > _LEAST_ROUNDS and time.monotonic() - started >= seconds:
                break
            first, *others = [run() for run in runs]
            if number > 0:
                for found, taken in zip(ratios, others, strict=True):
                    found.append(first / taken)
            advance(1)
    return ratios
