"""Timed: several models on the same batches, in turns, so that what slows the machine down slows all of them."""

import time
from collections.abc import Sequence
from functools import partial

from quantkit.latency.turns import in_turns
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

    return in_turns([partial(seconds, session) for session in sessions], rounds=rounds)
