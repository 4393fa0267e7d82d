"""A server under load: queries arrive at random, what waits is batched, and a rate holds when 99 % are in time.

Arrivals are a Poisson process with a seed, and do not wait for answers: a query's latency counts from when it was due,
so a server that falls behind cannot hide it by taking queries later. Batches are dynamic: whenever an instance is free,
the oldest query that waits goes, and with it those behind it that fit into the token budget.
"""

import functools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.runtime.batching import Batch
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import Arrays
from quantkit.throughput.workload import Workload

PERCENTILE = 99
LEAST = 0.02
"""Looking for a rate ends at this share of where it began: there, a query hardly ever meets another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One load at one rate.

    Attributes:
        rate: queries per second, as they arrived.
        held: 99 % of them were answered within the bound.
        latencies: seconds of those that were answered; when the trial did not hold it was broken off.
    """

    rate: float
    held: bool
    latencies: tuple[float, ...]


def arrival_times(count: int, rate: float, seed: int) -> NDArray[np.float64]:
    """Return when queries are due, in seconds from the start: a Poisson process of `rate` queries per second.

    Of one seed, all rates have the same pattern, stretched, so that two servers are not told apart by luck.
    """
    gaps = np.random.default_rng(seed).exponential(size=count)
    return np.cumsum(gaps) / rate


def late_allowed(count: int) -> int:
    """Return how many of so many queries may be late while 99 % are not."""
    return count - math.ceil(count * PERCENTILE / 100)


def fitting(lengths: Sequence[int], profile: RuntimeProfile) -> list[int]:
    """Return the places of the waiting queries that go as one batch: the oldest, and those behind it that fit.

    Args:
        lengths: tokens of what waits, the oldest first.
        profile: token budget, most rows, and whether lengths may differ.
    """
    longest, places = lengths[0], [0]
    for place, length in enumerate(lengths[1:], start=1):
        if len(places) == profile.max_batch or (len(places) + 1) * longest > profile.token_budget:
            break
        if profile.equal_lengths and length != longest:
            continue
        if (len(places) + 1) * max(longest, length) <= profile.token_budget:
            places.append(place)
            longest = max(longest, length)
    return places


def serve(
    load: Workload, *, rate: float, bound: float, seed: int, clock: Callable[[], float] = time.perf_counter
) -> Trial:
    """Let every row of a workload arrive once, in a random order, and see whether 99 % are answered in time.

    The trial is broken off as soon as more queries are late than may be.

    Args:
        load: the rows, and the engine that answers them.
        rate: queries per second.
        bound: seconds from when a query is due to its answer.
        seed: of arrivals and order.
        clock: seconds.

    Raises:
        EvaluationError: the runtime cannot run a batch.
    """
    return _Server(load, rate=rate, bound=bound, seed=seed, clock=clock).run()


def lone_latency(load: Workload, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that a long query takes when nothing else runs: the shortest that 1 % of the rows exceed."""
    rows = sorted(range(load.windows), key=lambda row: len(load.job.rows[row].input_ids))
    row = rows[load.windows - 1 - late_allowed(load.windows)]
    feeds = load.job.feeds(Batch(indices=(row,), length=len(load.job.rows[row].input_ids)))
    seconds = []
    for _ in range(3):
        started = clock()
        load.engine.submit(feeds).result()
        seconds.append(clock() - started)
    return min(seconds)


class _Server:
    """The state of one trial; answers arrive in the engine's threads, everything else happens in the caller's."""

    def __init__(
        self, load: Workload, *, rate: float, bound: float, seed: int, clock: Callable[[], float]
    ) -> None:
        count = load.windows
        self._load, self._rate, self._bound, self._clock = load, rate, bound, clock
        self._order = [int(index) for index in np.random.default_rng(seed + 1).permutation(count)]
        self._due = arrival_times(count, rate, seed)
        self._lengths = [len(row.input_ids) for row in load.job.rows]
        self._waiting: deque[int] = deque()
        self._arrived = 0
        self._latencies: dict[int, float] = {}
        self._late_answers = 0
        self._running = 0
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._started = 0.0

    def run(self) -> Trial:
        """Run the trial."""
        self._started = self._clock()
        count, allowed, late = len(self._due), late_allowed(len(self._due)), 0
        with self._changed:
            while len(self._latencies) < count and late <= allowed and self._error is None:
                self._arrive()
                if self._waiting and self._running < self._load.engine.workers:
                    self._start()
                else:
                    self._sleep()
                late = self._late()
            while self._running:
                self._changed.wait()
        if self._error is not None:
            raise self._error
        return Trial(
            rate=self._rate,
            held=len(self._latencies) == count and self._late() <= allowed,
            latencies=tuple(self._latencies.values()),
        )

    def _now(self) -> float:
        return self._clock() - self._started

    def _arrive(self) -> None:
        now = self._now()
        while self._arrived < len(self._due) and self._due[self._arrived] <= now:
            self._waiting.append(self._arrived)
            self._arrived += 1

    def _start(self) -> None:
        """Send a batch. The lock is free meanwhile: an engine may answer at once, in this thread."""
        queries = list(self._waiting)
        chosen = fitting([self._lengths[self._order[query]] for query in queries], self._load.profile)
        taken = [queries[place] for place in chosen]
        for query in taken:
            self._waiting.remove(query)
        rows = tuple(self._order[query] for query in taken)
        feeds = self._load.job.feeds(Batch(indices=rows, length=max(self._lengths[row] for row in rows)))
        self._running += 1
        self._changed.release()
        try:
            future = self._load.engine.submit(feeds)
        except BaseException:
            self._running -= 1
            raise
        finally:
            self._changed.acquire()
        future.add_done_callback(functools.partial(self._take, taken))

    def _take(self, queries: Sequence[int], future: "Future[Arrays]") -> None:
        now = self._now()
        with self._changed:
            self._error = self._error or future.exception()
            for query in queries:
                self._latencies[query] = now - float(self._due[query])
                self._late_answers += self._latencies[query] > self._bound
            self._running -= 1
            self._changed.notify()

    def _sleep(self) -> None:
        """Wait for an answer, or until the next query is due."""
        if self._arrived < len(self._due):
            self._changed.wait(max(0.0, float(self._due[self._arrived]) - self._now()))
        else:
            self._changed.wait()

    def _late(self) -> int:
        """Count the queries that were answered too late, or wait for longer already."""
        now = self._now()
        waiting = sum(now - float(self._due[query]) > self._bound for query in self._waiting)
        return waiting + self._late_answers


class HighestRate:
    """Finds the highest rate that holds, by bisection of its logarithm.

    Attributes:
        best: the trial of the highest rate that held so far.
    """

    def __init__(self, start: float, *, factor: float, steps: int) -> None:
        """Begin.

        Args:
            start: the rate that is tried first.
            factor: by how much the rate goes up or down while only one side is known; squared until it is 2.
            steps: trials; more only while none held, until the rate is `LEAST` of `start`.
        """
        self.best: Trial | None = None
        self._failed: float | None = None
        self._start, self._factor, self._steps = start, factor, steps
        self._trials = 0

    @property
    def done(self) -> bool:
        """Whether there is nothing more to try."""
        if self.best is None:
            return self.rate < LEAST * self._start
        return self._trials >= self._steps

    @property
    def rate(self) -> float:
        """The rate to try next."""
        if self.best is not None and self._failed is not None:
            return math.sqrt(self.best.rate * self._failed)
        if self.best is not None:
            return self.best.rate * self._factor
        if self._failed is not None:
            return self._failed / self._factor
        return self._start

    def tell(self, trial: Trial) -> None:
        """Take the outcome of a trial at `rate`."""
        self._trials += 1
        if self._trials > 1 and (self.best is None or self._failed is None):
            self._factor **= 2 if self._factor < 2 else 1
        if trial.held and (self.best is None or trial.rate > self.best.rate):
            self.best = trial
        elif not trial.held and (self._failed is None or trial.rate < self._failed):
            self._failed = trial.rate


def highest_rates(
    sought: Sequence[HighestRate], try_rate: Callable[[int, float], Trial], advance: Callable[[], Any]
) -> None:
    """Look for several rates in turns, one trial of each after the other.

    Args:
        sought: one for each contestant.
        try_rate: index of the contestant, rate → trial.
        advance: called after each trial.
    """
    while not all(one.done for one in sought):
        for index, one in enumerate(sought):
            if not one.done:
                one.tell(try_rate(index, one.rate))
                advance()
