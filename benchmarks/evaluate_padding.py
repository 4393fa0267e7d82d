"""Evaluation in batches by length against padding every window to 384 tokens.

One session and the same threads run both, in turns, over the same sample of windows. First the limit is
printed: tokens if everything is padded, divided by real tokens, over the whole dataset. Attention grows
with the square of the length, so the time saved can be more.

    python benchmarks/evaluate_padding.py ARTIFACT --data-dir DIR
    python benchmarks/evaluate_padding.py MODEL.onnx --tokenizer FOLDER --data-dir DIR

Ends with exit code 1 when the median ratio is below --require.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quantkit.runtime.batching import Batch, token_budget_batches
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import Job, run_once
from quantkit.runtime.session import Session
from quantkit.tasks import task
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Prepared, Reader
from quantkit.tasks.tokenizer import Tokenizer
from quantkit.throughput import sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    model: Path
    tokenizer: Path
    data: str
    data_dir: Path | None
    questions: int
    rounds: int
    token_budget: int
    padded_batch: int | None
    threads: int
    require: float


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="artifact folder or ONNX file")
    parser.add_argument(
        "--tokenizer", type=Path, help="folder with tokenizer files (default: beside the model)"
    )
    parser.add_argument("--data", default="squad", help="dataset name or file")
    parser.add_argument("--data-dir", type=Path, help="where the dataset is")
    parser.add_argument("--questions", type=int, default=150, help="questions in the sample")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--token-budget", type=int, default=1024, help="tokens per batch")
    parser.add_argument(
        "--padded-batch", type=int, help="rows of a padded batch (default: what the budget holds)"
    )
    parser.add_argument("--threads", type=int, default=cpu_facts().cores, help="one-thread workers")
    parser.add_argument("--require", type=float, default=1.8, help="the least median ratio")
    given = parser.parse_args(arguments)
    model = given.model / "model.onnx" if given.model.is_dir() else given.model
    return Options(**{**vars(given), "model": model, "tokenizer": given.tokenizer or model.parent})


def padded_batches(count: int, rows: int, length: int) -> list[Batch]:
    """Return `count` rows in their own order, `rows` at a time, all padded to `length`."""
    starts = range(0, count, rows)
    return [Batch(indices=tuple(range(start, min(start + rows, count))), length=length) for start in starts]


def print_limit(prepared: Prepared, options: Options) -> None:
    """Print how many tokens each way computes over the whole dataset."""
    lengths = prepared.lengths
    padded = prepared.reader.settings.max_length * len(lengths)
    ours = sum(batch.tokens for batch in token_budget_batches(lengths, options.token_budget))
    real = sum(lengths)
    print(f"{options.data}: {len(lengths):,} windows, {real / len(lengths):.1f} tokens on average")
    padding = ours / real - 1
    print(f"tokens: real {real:,}, by length {ours:,} ({padding:.2%} padding), padded {padded:,}")
    print(f"limit by tokens: {padded / real:.3f} x\n")


def measure(job: Job, session: Session, threads: int) -> float:
    """Return windows per second of one pass."""
    feeds = [job.feeds(batch) for batch in job.batches]
    with ThreadEngine([session] * threads) as engine:
        started = time.perf_counter()
        run_once(engine, job, feeds)
        return len(job.rows) / (time.perf_counter() - started)


def main() -> int:
    """Measure and print; return the exit code."""
    options = read_options()
    dataset = load(options.data, "squad", options.data_dir)
    reader = Reader(task=task("squad"), tokenizer=Tokenizer.load(options.tokenizer))
    print_limit(reader.prepare(dataset), options)
    prepared = reader.prepare(sample(dataset, options.questions))
    longest = reader.settings.max_length
    rows = options.padded_batch or max(1, options.token_budget // longest)
    lengths = prepared.lengths
    session = Session(options.model, outputs=reader.task.outputs)
    ways = {
        f"padded to {longest}, {rows} rows": padded_batches(len(lengths), rows, longest),
        f"by length, {options.token_budget} tokens": token_budget_batches(lengths, options.token_budget),
    }
    jobs = {way: Job.of(prepared, batches) for way, batches in ways.items()}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for round_number in range(options.rounds + 1):
        for way, job in jobs.items():
            rate = measure(job, session, options.threads)
            if round_number > 0:
                rates[way].append(rate)
    base, *_ = rates.values()
    print(f"{len(lengths)} windows, {options.rounds} rounds, {options.threads} threads, {cpu_facts().model}")
    print(f"{'way':32} {'windows/s':>10} {'ratio':>7}   spread")
    for way, found in rates.items():
        ratios = [rate / other for rate, other in zip(found, base, strict=True)]
        ratio = statistics.median(ratios)
        print(
            f"{way:32} {statistics.median(found):10.1f} {ratio:7.2f}   {min(ratios):.2f} - {max(ratios):.2f}"
        )
    return 0 if ratio >= options.require else 1


if __name__ == "__main__":
    sys.exit(main())
