"""Timed: several models on the same batches, in turns, so that what slows the machine down slows all of them."""

import time
from collections.abc import Sequence

from quantkit.progress import track
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import Job, run_once
from quantkit.runtime.session import Session


def times_the_first(sessions: Sequence[Session], job: Job, *, rounds: int) -> list[list[float]]:
    """Return how many times as fast as the first each of the others is, once for each round.

    Args:
        sessions: opened; each runs on all cores.
        job: what each runs in a round.
        rounds: so many count; one more before them warms up.
    """
    feeds = [job.feeds(batch) for batch in job.batches]

    def seconds(of: Session) -> float:
        with ThreadEngine([of] * cpu_facts().cores) as engine:
            started = time.perf_counter()
            run_once(engine, job, feeds)
            return time.perf_counter() - started

    ratios: list[list[float]] = [[] for _ in sessions[1:]]
    with track("time", rounds + 1, "rounds") as advance:
        for number in range(rounds + 1):
            first, *others = [seconds(session) for session in sessions]
            if number > 0:
                for found, taken in zip(ratios, others, strict=True):
                    found.append(first / taken)
            advance(1)
    return ratios
