"""Workload: one model open with one profile, and the rows it is measured on, cut into batches for it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from quantkit.files import sha256_bytes
from quantkit.runtime.engine import Engine, Feeds
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job, run_once
from quantkit.tasks import Dataset
from quantkit.tasks.prepared import Prepared


@dataclass(kw_only=True, slots=True)
class Workload:
    """Rows for an open engine, as batches that are ready to run.

    Attributes:
        engine: the model, open; it stays open.
        profile: how the rows are cut into batches.
        job: all rows and their batches.
        feeds: the inputs of each batch.
        latencies: seconds of single queries, where a scenario measures them.
    """

    engine: Engine
    profile: RuntimeProfile
    job: Job
    feeds: list[Feeds]
    latencies: list[float] = field(default_factory=list)

    @property
    def windows(self) -> int:
        """How many rows a pass runs."""
        return len(self.job.rows)

    def offline_rate(self, clock: Callable[[], float] = time.perf_counter) -> float:
        """Run all batches, as many at once as there are workers, and return rows per second."""
        started = clock()
        run_once(self.engine, self.job, self.feeds)
        return self.windows / (clock() - started)

    def warm_up(self) -> None:
        """Run the largest batch once for each worker: memory is taken then."""
        largest = max(range(len(self.feeds)), key=lambda index: self.job.batches[index].tokens)
        futures = [self.engine.submit(self.feeds[largest]) for _ in range(self.engine.workers)]
        for future in futures:
            future.result()


def workload(prepared: Prepared, engine: Engine, profile: RuntimeProfile) -> Workload:
    """Cut rows into the batches of a profile."""
    job = Job.of(prepared, profile.batches(prepared.lengths))
    feeds: list[Feeds] = [job.feeds(batch) for batch in job.batches]
    return Workload(engine=engine, profile=profile, job=job, feeds=feeds)


def sample(dataset: Dataset, count: int) -> Dataset:
    """Return `count` questions chosen by the hash of their id: always the same, from all over the dataset."""
    ids = [question.id for question in dataset.questions]
    return dataset.only(sorted(ids, key=lambda name: sha256_bytes(name.encode()))[:count])


def percentiles(latencies: Sequence[float]) -> dict[str, float]:
    """Return p50, p90 and p99 in milliseconds: each the smallest latency that so many percent stay within."""
    if not latencies:
        return {}
    points: NDArray[np.float64] = np.percentile(latencies, (50, 90, 99), method="inverted_cdf")
    return {f"p{percent}": 1000.0 * float(point) for percent, point in zip((50, 90, 99), points, strict=True)}
