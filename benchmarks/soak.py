"""Offline under load for minutes, while instances are killed: every batch answered exactly once, memory flat.

    python benchmarks/soak.py ARTIFACT --data-dir DIR --minutes 30 --kill-every 60

Windows of a sample of questions run round after round in processes. Every so many seconds one instance is ended with
`kill -9`. Each answer is counted and compared, bit by bit, with the first answer to the same batch, which one session
in this process gave. Memory is read once a second, of this process and of all instances; flat means that the median of
the last third is no more than 5 % (and 10 MB) above that of the middle third (the first third fills the arenas).

Ends with exit code 1 when a batch was lost, answered twice or answered otherwise, or when memory grew.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.artifact import Artifact
from quantkit.engines import open_engine
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Feeds, ProcessEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job
from quantkit.runtime.session import Arrays, Session
from quantkit.tasks import task
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.throughput import sample

_PAGE = os.sysconf("SC_PAGE_SIZE")
_FLAT, _SLACK_MB = 1.05, 10.0


@dataclass(slots=True)
class Tally:
    """What came of every batch that was issued, by its number."""

    expected: list[Arrays]
    issued: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, number: int, batch: int, future: Future[Arrays]) -> None:
        """Count one answer and compare it."""
        error = future.exception()
        right = error is None and all(
            np.array_equal(found, wanted)
            for found, wanted in zip(future.result(), self.expected[batch], strict=True)
        )
        with self.lock:
            self.answers[number] += 1
            if error is not None:
                self.errors.append(str(error))
            elif not right:
                self.wrong += 1


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--data", default="squad", help="dataset name or file")
    parser.add_argument("--data-dir", type=Path, help="where the dataset is")
    parser.add_argument("--questions", type=int, default=100, help="questions in the sample")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds between kills")
    parser.add_argument("--instances", type=int, default=cpu_facts().cores)
    parser.add_argument("--token-budget", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of instances to kill")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def make_batches(artifact: Artifact, options: argparse.Namespace, profile: RuntimeProfile) -> list[Feeds]:
    """Return the batches of the sample."""
    dataset = sample(load(options.data, artifact.task, options.data_dir), options.questions)
    prepared = Reader.of(artifact).prepare(dataset)
    job = Job.of(prepared, profile.batches(prepared.lengths))
    return [job.feeds(batch) for batch in job.batches]


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
    except (OSError, IndexError):
        return 0.0


def watch(engine: ProcessEngine, over: threading.Event, seen: list[tuple[float, float]]) -> None:
    """Note the memory of this process and the mean of the instances, every second."""
    while not over.wait(1.0):
        instances = [mb for pid in engine.pids if (mb := resident_mb(pid))]
        if instances:
            seen.append((resident_mb(os.getpid()), statistics.fmean(instances)))


def kill(engine: ProcessEngine, over: threading.Event, every: float, dice: random.Random) -> None:
    """End one instance after the other."""
    while not over.wait(every):
        pids = engine.pids
        if pids:
            os.kill(dice.choice(pids), signal.SIGKILL)


def thirds(values: Sequence[float]) -> tuple[float, float]:
    """Return the medians of the middle and the last third."""
    third = max(1, len(values) // 3)
    return statistics.median(values[third : 2 * third] or values), statistics.median(values[-third:])


def flat(values: Sequence[float]) -> bool:
    """Tell whether memory did not grow."""
    middle, last = thirds(values)
    return last <= max(middle * _FLAT, middle + _SLACK_MB)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run under load and return what was seen."""
    artifact = Artifact.open(options.artifact)
    outputs = task(artifact.task).outputs
    profile = RuntimeProfile(
        instances=options.instances, engine="processes", token_budget=options.token_budget, pinned=True
    )
    batches = make_batches(artifact, options, profile)
    session = Session(artifact.model_path, outputs=outputs)
    tally = Tally(expected=[session.run(feeds) for feeds in batches])
    del session
    over, seen = threading.Event(), list[tuple[float, float]]()
    engine = open_engine(artifact.model_path, outputs=outputs, profile=profile)
    if not isinstance(engine, ProcessEngine):
        raise TypeError("the soak is for processes")
    dice = random.Random(options.seed)  # noqa: S311 - picks who is killed
    with engine:
        threads = [
            threading.Thread(target=watch, args=(engine, over, seen)),
            threading.Thread(target=kill, args=(engine, over, options.kill_every, dice)),
        ]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        try:
            while time.monotonic() - started < 60 * options.minutes:
                number, batch = tally.issued, tally.issued % len(batches)
                future = engine.submit(batches[batch])
                tally.issued += 1
                future.add_done_callback(partial(tally.take, number, batch))
        finally:
            over.set()
            for thread in threads:
                thread.join()
    seconds = time.monotonic() - started
    once = sum(count == 1 for count in tally.answers.values())
    parent, instances = [pair[0] for pair in seen], [pair[1] for pair in seen]
    return {
        "seconds": round(seconds, 1),
        "issued": tally.issued,
        "answered_once": once,
        "answered_twice": sum(count > 1 for count in tally.answers.values()),
        "lost": tally.issued - len(tally.answers),
        "wrong": tally.wrong,
        "errors": tally.errors,
        "killed": engine.restarts,
        "batches_per_second": tally.issued / seconds,
        "parent_mb": thirds(parent),
        "instance_mb": thirds(instances),
        "flat": flat(parent) and flat(instances),
        "placement": engine.placement.describe(),
        "passed": once == tally.issued
        and not (tally.wrong or tally.errors)
        and flat(parent)
        and flat(instances),
    }


def main() -> int:
    """Run and print; return the exit code."""
    options = read_options()
    found = run(options)
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:20} {value}")
    return 0 if found["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
