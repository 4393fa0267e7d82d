"""From the reference way of running FP32 to INT8 in quantkit's engine, a rung at a time, each against the first.

    python benchmarks/ladder.py FUSED INT8 --data-dir DIR [--before INT8] [--openvino NAME=ARTIFACT …] [-o FILE]

FUSED is an FP32 artifact as `quantkit fuse` leaves it, INT8 what `quantkit quantize` makes of it, `--before` the same
with `--layout fused`. All rungs answer the same sample of questions; a round is one pass of each rung, one after the
other, and a ratio is taken within a round. What is reported is the median of the ratios with the smallest and the
largest.

    FP32, padded          every row padded to 384 tokens, one at a time, one session with all cores: the reference way
    real lengths          nothing is padded beyond its batch, batches under a token budget, one session with all cores
    instance per core     as many one-thread instances as cores share the batches
    equal lengths         only rows of one length share a batch, and attention reads no mask
    INT8                  the same engine; --before is its rung `INT8, as fused`, the last one `INT8, laid out`
    OpenVINO              the same file, rows, batches and threads in OpenVINO

Every padded row costs the same, so the first rung answers a part of the sample only (`--padded`) and is extrapolated
from it. `by CPU time` is the same ratio of rows a CPU second, which other work on the machine disturbs less. F1 is that
of the artifact's own last evaluation, when it has one. The result is printed as Markdown, and written as JSON with
`-o`.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.engines import open_engine
from quantkit.errors import QuantkitError
from quantkit.files import write_json
from quantkit.progress import track
from quantkit.records import Evaluation
from quantkit.records.evaluation import evaluation_file
from quantkit.runtime.batching import Batch
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import Engine, Feeds
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.run import Job, run_once
from quantkit.tasks import WindowSettings
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.throughput import sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    fused: Path
    int8: Path
    before: Path | None
    openvino: list[tuple[str, Path]]
    data: str
    data_dir: Path | None
    questions: int
    padded: int
    rounds: int
    token_budget: int
    output: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """One way to run one artifact."""

    name: str
    artifact: Artifact
    profile: RuntimeProfile
    padded: bool = False


@dataclass(kw_only=True, slots=True)
class Climb:
    """A rung that is open, with its batches, and the rates of its passes: rows a second, and rows a CPU second."""

    rung: Rung
    engine: Engine
    job: Job
    feeds: list[Feeds]
    rates: list[float] = field(default_factory=list)
    cpu_rates: list[float] = field(default_factory=list)

    def climb(self) -> None:
        """Run all batches once."""
        started, cpu_started = time.perf_counter(), time.process_time()
        run_once(self.engine, self.job, self.feeds)
        rows = sum(len(batch.indices) for batch in self.job.batches)
        self.rates.append(rows / (time.perf_counter() - started))
        self.cpu_rates.append(rows / (time.process_time() - cpu_started))

    def forget(self) -> None:
        """Drop what was measured: memory is taken and pages are read in the first round."""
        self.rates.clear()
        self.cpu_rates.clear()


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A rung's row of the table; `cpu_ratio` counts rows a CPU second, `f1` is in percent."""

    name: str
    rows_per_second: float
    ratio: float
    spread: tuple[float, float]
    step: float
    cpu_ratio: float
    f1: float | None


def named(text: str) -> tuple[str, Path]:
    """Read NAME=ARTIFACT."""
    name, equals, path = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("give NAME=ARTIFACT")
    return name, Path(path)


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fused", type=Path, help="FP32 artifact, fused")
    parser.add_argument("int8", type=Path, help="INT8 artifact")
    parser.add_argument("--before", type=Path, help="the same INT8 artifact with --layout fused")
    parser.add_argument("--openvino", type=named, action="append", default=[], metavar="NAME=ARTIFACT")
    parser.add_argument("--data", default="squad", help="dataset name or file")
    parser.add_argument("--data-dir", type=Path, help="where the dataset is")
    parser.add_argument("--questions", type=int, default=200, help="questions in the sample")
    parser.add_argument("--padded", type=int, default=40, help="rows that the first rung answers")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that does not")
    parser.add_argument("--token-budget", type=int, default=1024, help="tokens per batch")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    return Options(**vars(parser.parse_args(arguments)))


def list_rungs(options: Options) -> list[Rung]:
    """Return the rungs from the bottom up."""
    cores = cpu_facts().cores
    fused, int8 = Artifact.open(options.fused), Artifact.open(options.int8)
    budget = options.token_budget
    one = RuntimeProfile(instances=1, threads=cores, token_budget=budget)
    many = RuntimeProfile(instances=cores, token_budget=budget)
    equal = many.model_copy(update={"equal_lengths": True})
    rungs = [
        Rung(name="FP32, padded to 384", artifact=fused, profile=one, padded=True),
        Rung(name="FP32, real lengths", artifact=fused, profile=one),
        Rung(name="FP32, instance per core", artifact=fused, profile=many),
        Rung(name="FP32, equal lengths", artifact=fused, profile=equal),
    ]
    if options.before is not None:
        rungs.append(Rung(name="INT8, as fused", artifact=Artifact.open(options.before), profile=equal))
    rungs += [
        Rung(name="INT8, laid out, with mask", artifact=int8, profile=many),
        Rung(name="INT8, laid out", artifact=int8, profile=equal),
    ]
    native = many.model_copy(update={"runtime": "openvino"})
    rungs += [
        Rung(name=f"OpenVINO, {name}", artifact=Artifact.open(path), profile=native)
        for name, path in options.openvino
    ]
    return rungs


def cut(rung: Rung, lengths: Sequence[int], options: Options) -> list[Batch]:
    """Return the batches of a rung, from the tokens of each row."""
    if rung.padded:
        rows = range(0, len(lengths), max(1, len(lengths) // options.padded))
        return [Batch(indices=(row,), length=WindowSettings().max_length) for row in rows]
    return rung.profile.batches(lengths)


def open_rungs(stack: ExitStack, rungs: Sequence[Rung], options: Options) -> list[Climb]:
    """Open every engine once, and cut the sample for each rung."""
    dataset = sample(load(options.data, rungs[0].artifact.task, options.data_dir), options.questions)
    engines: dict[tuple[Path, str], Engine] = {}
    found = []
    for rung in rungs:
        prepared = Reader.of(rung.artifact).prepare(dataset)
        path, key = rung.artifact.model_path, rung.profile.model_dump_json()
        if (path, key) not in engines:
            engines[path, key] = stack.enter_context(
                open_engine(path, outputs=prepared.reader.task.outputs, profile=rung.profile)
            )
        job = Job.of(prepared, cut(rung, prepared.lengths, options))
        feeds: list[Feeds] = [job.feeds(batch) for batch in job.batches]
        found.append(Climb(rung=rung, engine=engines[path, key], job=job, feeds=feeds))
    return found


def f1_of(artifact: Artifact) -> float | None:
    """Return the F1 of the artifact's last evaluation, None when it has none."""
    path = artifact.report_path(evaluation_file())
    return Evaluation.read(path).f1 if path.is_file() else None


def summed_up(climbs: Sequence[Climb]) -> list[Result]:
    """Return the table, ratios taken within rounds."""
    first, below = climbs[0], climbs[0]
    found = []
    for climb in climbs:
        ratios = [rate / other for rate, other in zip(climb.rates, first.rates, strict=True)]
        steps = [rate / other for rate, other in zip(climb.rates, below.rates, strict=True)]
        found.append(
            Result(
                name=climb.rung.name,
                rows_per_second=statistics.median(climb.rates),
                ratio=statistics.median(ratios),
                spread=(min(ratios), max(ratios)),
                step=statistics.median(steps),
                cpu_ratio=statistics.median(
                    rate / other for rate, other in zip(climb.cpu_rates, first.cpu_rates, strict=True)
                ),
                f1=f1_of(climb.rung.artifact),
            )
        )
        below = climb
    return found


def markdown(results: Sequence[Result]) -> str:
    """Return the table."""
    lines = ["| rung | rows/s | against the first | spread | against the one before | by CPU time | F1 |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in results:
        f1 = "-" if row.f1 is None else f"{row.f1:.3f}"
        low, high = row.spread
        lines.append(
            f"| {row.name} | {row.rows_per_second:.2f} | **{row.ratio:.2f}** | {low:.2f} - {high:.2f} "
            f"| {row.step:.2f} | {row.cpu_ratio:.2f} | {f1} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = read_options(arguments)
    try:
        rungs = list_rungs(options)
        with ExitStack() as stack:
            climbs = open_rungs(stack, rungs, options)
            with track("ladder", len(climbs) * (options.rounds + 1), "passes") as advance:
                for number in range(options.rounds + 1):
                    for climb in climbs:
                        climb.climb()
                        if number == 0:
                            climb.forget()
                        advance(1)
            results = summed_up(climbs)
    except QuantkitError as error:
        print(error, file=sys.stderr)
        return 2
    rows = len(climbs[-1].job.rows)
    tokens = sum(len(row.input_ids) for row in climbs[-1].job.rows) / rows
    print(f"{rows} rows of {tokens:.0f} tokens, {options.rounds} rounds, {cpu_facts().cores} cores\n")
    print(markdown(results))
    if options.output:
        content = {
            "rows": rows,
            "mean_tokens": tokens,
            "rounds": options.rounds,
            "token_budget": options.token_budget,
            "rungs": [asdict(result) for result in results],
            "tools": tool_versions("onnxruntime"),
            "cpu": cpu_facts().as_json(),
        }
        write_json(options.output, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
