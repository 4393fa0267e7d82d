"""Hours: what a search would take on more machines, by simulation from the times of its trials.

A worker is a machine like the one that measured, with all its cores. The trials of one part depend on nothing but the
parts before it, so they may run on any worker, in their order, each on the first that is free (list scheduling); a part
begins when the one before has ended. What one run makes as a whole (export, moments, prices, the final
check) is one trial. Nothing is added for the network, or for starting a worker.
"""

import heapq
from collections.abc import Sequence

from quantkit.records.shapes import OnWorkers, TrialTimes

WORKERS = (1, 8, 64)
"""Numbers of workers that the report tells of."""


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of so many independent trials ends."""
    free = [0.0] * workers
    for took in seconds:
        heapq.heapreplace(free, free[0] + took)
    return max(free)


def on_workers(parts: Sequence[TrialTimes], workers: int) -> OnWorkers:
    """Return the time of a search on so many workers, part by part."""
    found = {part.part: makespan(part.seconds, workers) for part in parts}
    return OnWorkers(workers=workers, seconds=sum(found.values()), parts=found)
