"""Workload: one model open with one profile, and the rows it is measured on, cut into batches for it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quantkit.artifact import Artifact
from quantkit.engines import open_engine
from quantkit.files import sha256_bytes
from quantkit.runtime.engine import Engine, Feeds
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job, run_once
from quantkit.tasks import Dataset, Feature, FeatureSettings, task
from quantkit.tasks.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """The rows of a dataset, tokenized for one artifact.

    Attributes:
        path: the model.
        outputs: the graph outputs that are wanted.
        features: the rows.
        pad_id: the token that fills a row up.
        name: index of a row → what people call it.
    """

    path: Path
    outputs: tuple[str, ...]
    features: Sequence[Feature]
    pad_id: int
    name: Callable[[int], str]

    def first(self, count: int) -> "Windows":
        """Return the same with so many rows at most."""
        return Windows(
            path=self.path,
            outputs=self.outputs,
            features=self.features[:count],
            pad_id=self.pad_id,
            name=self.name,
        )

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        return [len(feature.input_ids) for feature in self.features]

    def open(self, profile: RuntimeProfile) -> Engine:
        """Open the model the way a profile says."""
        return open_engine(self.path, outputs=self.outputs, profile=profile)


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


def windows_of(artifact: Artifact, dataset: Dataset) -> Windows:
    """Tokenize a dataset for an artifact.

    Raises:
        CheckpointError: a tokenizer is missing, or is not the model's.
    """
    of_task = task(artifact.task)
    tokenizer = Tokenizer.load(artifact.path)
    vocabulary = artifact.config.get("vocab_size")
    if isinstance(vocabulary, int):
        tokenizer.check_vocabulary(vocabulary)
    features = of_task.featurize(dataset, tokenizer, FeatureSettings())
    return Windows(
        path=artifact.model_path,
        outputs=of_task.outputs,
        features=features,
        pad_id=tokenizer.pad_id,
        name=lambda index: f"question {dataset.examples[features[index].example].id}",
    )


def workload(windows: Windows, engine: Engine, profile: RuntimeProfile) -> Workload:
    """Cut rows into the batches of a profile."""
    job = Job(
        rows=windows.features,
        batches=profile.batches(windows.lengths),
        pad_id=windows.pad_id,
        name=windows.name,
    )
    feeds: list[Feeds] = [job.feeds(batch) for batch in job.batches]
    return Workload(engine=engine, profile=profile, job=job, feeds=feeds)


def sample(dataset: Dataset, count: int) -> Dataset:
    """Return `count` examples chosen by the hash of their id: always the same, from all over the dataset."""
    ids = [example.id for example in dataset.examples]
    return dataset.only(sorted(ids, key=lambda name: sha256_bytes(name.encode()))[:count])


def percentiles(latencies: Sequence[float]) -> dict[str, float]:
    """Return p50, p90 and p99 in milliseconds: each the smallest latency that so many percent stay within."""
    if not latencies:
        return {}
    points: NDArray[np.float64] = np.percentile(latencies, (50, 90, 99), method="inverted_cdf")
    return {f"p{percent}": 1000.0 * float(point) for percent, point in zip((50, 90, 99), points, strict=True)}
