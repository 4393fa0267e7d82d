"""bench: artifacts side by side, in interleaved rounds A B A B … over the same questions.

A ratio is taken within a round, between passes that ran one after the other, so whatever else slows the
machine down slows both; what is reported is the median of these ratios, with the smallest and the largest.

    offline         batches by token budget, one one-thread worker per core: how much a full machine answers
    single-stream   one window at a time, all cores on it: how long one query takes

Nothing is padded beyond its batch, and tokenizing and reading answers are not measured. Times are of this
machine, this minute; only the ratios are worth keeping.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import UsageError
from quantkit.files import sha256_bytes
from quantkit.progress import track
from quantkit.recipe.settings import BenchSettings
from quantkit.report import BenchReport, BenchResult
from quantkit.runtime.batching import token_budget_batches
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import Job, run_once
from quantkit.runtime.session import Session
from quantkit.tasks import Dataset, FeatureSettings, task
from quantkit.tasks.datasets import load
from quantkit.tasks.tokenizer import Tokenizer

Feeds = dict[str, NDArray[np.int64]]


@dataclass(kw_only=True, slots=True)
class _Contestant:
    """One artifact, open, with its batches prepared and what was measured so far.

    Attributes:
        seconds: one time per measured pass.
        latencies: seconds of every single query, over all passes.
    """

    artifact: Artifact
    session: Session
    job: Job
    feeds: list[Feeds]
    seconds: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    @property
    def windows(self) -> int:
        """How many windows a pass runs."""
        return len(self.job.rows)


def bench(
    artifacts: Sequence[Artifact], *, settings: BenchSettings, data_dir: Path | None = None
) -> BenchReport:
    """Measure artifacts against the first of them.

    Args:
        artifacts: one or more, all for the same task. All are held in memory at once.
        settings: scenario, questions, passes, token budget and threads, the same for all.
        data_dir: looked into first for the dataset.

    Returns:
        For each artifact, in order: windows per second (the median over passes), the ratio to the first
        artifact, and with single-stream the latency percentiles.

    Raises:
        UsageError: no artifact, or artifacts of different tasks.
        DatasetError: the dataset cannot be found or read.
        ArtifactError: a model cannot be opened.
        CheckpointError: a tokenizer is missing, or is not the model's.
    """
    if not artifacts:
        raise UsageError("nothing to measure; name one artifact or more")
    tasks = sorted({artifact.task for artifact in artifacts})
    if len(tasks) > 1:
        raise UsageError(f"artifacts for {' and '.join(tasks)} cannot be compared; choose those of one task")
    threads = settings.threads or cpu_facts().cores
    dataset = sample(load(settings.data, tasks[0], data_dir), settings.questions)
    contestants = [_contestant(artifact, dataset, settings, threads) for artifact in artifacts]
    measure = _PASSES[settings.scenario]
    with track("bench", len(contestants) * (settings.repeats + 1), "passes") as advance:
        for round_number in range(settings.repeats + 1):
            for contestant in contestants:
                latencies: list[float] = []
                started = time.perf_counter()
                measure(contestant, threads, latencies)
                seconds = time.perf_counter() - started
                # Round 0 warms up: memory is taken and pages are read then.
                if round_number > 0:
                    contestant.seconds.append(seconds)
                    contestant.latencies += latencies
                advance(1)
    return BenchReport(
        scenario=settings.scenario,
        dataset_name=dataset.name,
        dataset=dataset.digest,
        samples=contestants[0].windows,
        repeats=settings.repeats,
        threads=threads,
        results=tuple(_result(contestant, contestants[0]) for contestant in contestants),
        tools=tool_versions("onnxruntime", "tokenizers"),
        cpu=cpu_facts().as_json(),
    )


def sample(dataset: Dataset, count: int) -> Dataset:
    """Return `count` examples chosen by the hash of their id: always the same, from all over the dataset."""
    ids = [example.id for example in dataset.examples]
    return dataset.only(sorted(ids, key=lambda name: sha256_bytes(name.encode()))[:count])


def _contestant(artifact: Artifact, dataset: Dataset, settings: BenchSettings, threads: int) -> _Contestant:
    offline = settings.scenario == "offline"
    of_task = task(artifact.task)
    tokenizer = Tokenizer.load(artifact.path)
    vocabulary = artifact.config.get("vocab_size")
    if isinstance(vocabulary, int):
        tokenizer.check_vocabulary(vocabulary)
    session = Session(artifact.model_path, outputs=of_task.outputs, threads=1 if offline else threads)
    features = of_task.featurize(dataset, tokenizer, FeatureSettings())
    lengths = [len(feature.input_ids) for feature in features]
    job = Job(
        rows=features,
        batches=token_budget_batches(lengths, settings.token_budget, max_batch=None if offline else 1),
        pad_id=tokenizer.pad_id,
        name=lambda index: f"question {dataset.examples[features[index].example].id}",
    )
    return _Contestant(
        artifact=artifact, session=session, job=job, feeds=[job.feeds(batch) for batch in job.batches]
    )


def _offline(contestant: _Contestant, threads: int, latencies: list[float]) -> None:  # noqa: ARG001
    """Run all batches, `threads` of them at once; there is no latency of one query here."""
    with ThreadEngine([contestant.session] * threads) as engine:
        run_once(engine, contestant.job, contestant.feeds)


def _single_stream(contestant: _Contestant, threads: int, latencies: list[float]) -> None:  # noqa: ARG001
    """Run one window after the other; the session has all threads."""
    for feeds in contestant.feeds:
        started = time.perf_counter()
        contestant.session.run(feeds)
        latencies.append(time.perf_counter() - started)


_PASSES: dict[str, Callable[[_Contestant, int, list[float]], None]] = {
    "offline": _offline,
    "single-stream": _single_stream,
}
"""Scenario → one pass over all windows. A scenario is one function and one line here."""


def _result(contestant: _Contestant, first: _Contestant) -> BenchResult:
    rates = [contestant.windows / seconds for seconds in contestant.seconds]
    against = [first.windows / seconds for seconds in first.seconds]
    ratios = [rate / other for rate, other in zip(rates, against, strict=True)]
    return BenchResult(
        artifact=contestant.artifact.digest,
        name=contestant.artifact.path.name,
        qps=statistics.median(rates),
        latency_ms=_percentiles(contestant.latencies),
        ratio=statistics.median(ratios),
        spread=(min(ratios), max(ratios)),
    )


def _percentiles(latencies: Sequence[float]) -> dict[str, float]:
    """Return p50, p90 and p99 in milliseconds: each the smallest latency that so many percent stay within."""
    if not latencies:
        return {}
    points: Any = np.percentile(latencies, (50, 90, 99), method="inverted_cdf")
    return {f"p{percent}": 1000.0 * float(point) for percent, point in zip((50, 90, 99), points, strict=True)}
