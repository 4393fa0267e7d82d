"""How fast artifacts are on a busy machine: the CPU time of one thread, in interleaved runs.

    python benchmarks/thread_time.py ARTIFACT ARTIFACT … [--rows 6] [--tokens 170] [--seconds 30]

Other programs take a core's time away, and little of a thread's own: ratios of CPU time within a round stay where those
of wall time are lost. It is no throughput: nothing waits, and caches and clocks are shared all the same. Printed are
the median over rounds, and the 10th and 90th percentile, of the first artifact's time over each one's.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from quantkit.artifact import Artifact
from quantkit.runtime.session import Session
from quantkit.tasks import task


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifacts", type=Path, nargs="+", help="the first is the reference")
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=170)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    opened = [Artifact.open(path) for path in given.artifacts]
    sessions = [Session(artifact.model_path, outputs=task(artifact.task).outputs) for artifact in opened]
    vocabulary = min(int(artifact.config["vocab_size"]) for artifact in opened)
    ids = np.random.default_rng(0).integers(vocabulary // 2, vocabulary, (given.rows, given.tokens))
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    for session in sessions:
        session.run(feeds)
    rounds, end = [], time.monotonic() + given.seconds
    while time.monotonic() < end:
        taken = []
        for session in sessions:
            started = time.thread_time()
            session.run(feeds)
            taken.append(time.thread_time() - started)
        rounds.append(taken)
    times = np.array(rounds)
    ratios = times[:, :1] / times
    print(f"| artifact | ms | ratio, {len(times)} rounds | 10 % to 90 % |\n|---|---|---|---|")
    for column, path in enumerate(given.artifacts):
        low, middle, high = np.percentile(ratios[:, column], (10, 50, 90))
        milliseconds = 1000 * np.median(times[:, column])
        print(f"| {path.name} | {milliseconds:.1f} | {middle:.2f} | {low:.2f} to {high:.2f} |")


if __name__ == "__main__":
    main()
