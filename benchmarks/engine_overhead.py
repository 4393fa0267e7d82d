"""What the engine costs: the share of its workers' time that is not spent inside the runtime.

    python benchmarks/engine_overhead.py ARTIFACT --data-dir DIR [--engine processes] [--instances 2]

Windows of a sample of questions run in batches by token budget, as `quantkit bench --scenario offline` runs them. The
share is 1 - (seconds inside session.run, over all instances) / (instances x seconds of the whole pass): what batches
wait for, what is copied and sent, and what instances stand idle at the end. Of the rounds the median counts; each
engine's rounds alternate with the other's.

Ends with exit code 1 when the median share of the first engine is above --require.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.engines import open_engine
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Engine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job, run_once
from quantkit.tasks import task
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.throughput import sample


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--data", default="squad", help="dataset name or file")
    parser.add_argument("--data-dir", type=Path, help="where the dataset is")
    parser.add_argument("--questions", type=int, default=400, help="questions in the sample")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--engine", nargs="+", default=["processes", "threads"], help="engines, in turns")
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--token-budget", type=int, default=1024)
    parser.add_argument("--unpinned", action="store_true", help="do not bind processes to cores")
    parser.add_argument("--require", type=float, default=0.03, help="the largest share allowed")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def make_job(artifact: Artifact, options: argparse.Namespace, profile: RuntimeProfile) -> Job:
    """Return the windows of the sample, in the profile's batches."""
    dataset = sample(load(options.data, artifact.task, options.data_dir), options.questions)
    prepared = Reader.of(artifact).prepare(dataset)
    return Job.of(prepared, profile.batches(prepared.lengths))


def measure(engine: Engine, job: Job) -> tuple[float, float]:
    """Return the share of the time outside the runtime, and windows per second."""
    feeds = [job.feeds(batch) for batch in job.batches]
    before, started = engine.ran_seconds, time.perf_counter()
    run_once(engine, job, feeds)
    seconds = time.perf_counter() - started
    return 1 - (engine.ran_seconds - before) / (engine.workers * seconds), len(job.rows) / seconds


def main() -> int:
    """Measure and print; return the exit code."""
    options = read_options()
    artifact = Artifact.open(options.artifact)
    profiles = {
        engine: RuntimeProfile.model_validate(
            {
                "schema": "quantkit/runtime/1",
                "engine": engine,
                "instances": options.instances,
                "token_budget": options.token_budget,
                "pinned": engine == "processes" and not options.unpinned,
            }
        )
        for engine in options.engine
    }
    job = make_job(artifact, options, next(iter(profiles.values())))
    engines = {
        name: open_engine(artifact.model_path, outputs=task(artifact.task).outputs, profile=profile)
        for name, profile in profiles.items()
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    try:
        for round_number in range(options.rounds + 1):
            for name, engine in engines.items():
                result = measure(engine, job)
                if round_number > 0:
                    found[name].append(result)
    finally:
        for engine in engines.values():
            engine.close()
    shares = {name: statistics.median(share for share, _ in rounds) for name, rounds in found.items()}
    report = {
        "windows": len(job.rows),
        "batches": len(job.batches),
        "instances": options.instances,
        "cpu": cpu_facts().as_json(),
        "engines": {
            name: {
                "outside": shares[name],
                "spread": [min(share for share, _ in rounds), max(share for share, _ in rounds)],
                "windows_per_second": statistics.median(rate for _, rate in rounds),
            }
            for name, rounds in found.items()
        },
    }
    if options.json:
        print(json.dumps(report))
    else:
        print(f"{len(job.rows)} windows in {len(job.batches)} batches, {options.instances} instances")
        print(f"{'engine':12} {'outside':>8}   {'spread':17} windows/s")
        for name, rounds in found.items():
            low, high = min(share for share, _ in rounds), max(share for share, _ in rounds)
            rate = statistics.median(rate for _, rate in rounds)
            print(f"{name:12} {shares[name]:8.2%}   {f'{low:.2%} - {high:.2%}':17} {rate:9.1f}")
    return 0 if shares[options.engine[0]] <= options.require else 1


if __name__ == "__main__":
    sys.exit(main())
