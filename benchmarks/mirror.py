"""What INT8's change of the answers costs, and what the same change costs the other way round.

    python benchmarks/mirror.py FUSED INT8 --data squad [--data-dir DIR] [--questions N]

With f the logits of FP32 and q those of INT8, answers are scored at f + t (q - f): t = 1 is INT8, t = -1 its mirror
image, which is no model but as far from FP32 as INT8 is. A quantizer that loses score by what it does to a model loses
it at t = 1 and wins it at t = -1. When both lose, it is FP32 that was lucky with the questions whose answers are near
ties, and any change of that size loses.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quantkit.artifact import Artifact
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import batched, run_job
from quantkit.runtime.session import Arrays, Session
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.throughput import sample

_TOKEN_BUDGET = 1024
_STEPS = (-1.5, -1.0, -0.5, 0.5, 1.0, 1.5)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("baseline", type=Path, help="fused FP32 artifact")
    parser.add_argument("artifact", type=Path, help="made from it")
    parser.add_argument("--data", required=True, help="dataset name, or a file")
    parser.add_argument("--data-dir", type=Path, help="where datasets are")
    parser.add_argument("--questions", type=int, help="chosen by hash; default: all")
    arguments = parser.parse_args()
    baseline = Artifact.open(arguments.baseline)
    dataset = load(arguments.data, baseline.task, arguments.data_dir)
    if arguments.questions:
        dataset = sample(dataset, arguments.questions)
    prepared = Reader.of(baseline).prepare(dataset)
    job = batched(prepared, token_budget=_TOKEN_BUDGET)

    def answers(path: Path) -> list[Arrays]:
        session = Session(path, outputs=prepared.reader.task.outputs)
        with ThreadEngine([session] * cpu_facts().cores) as engine:
            return run_job(engine, job, label=path.parent.name)

    def scores(outputs: Sequence[Arrays]) -> np.ndarray:
        return np.array([answer.f1 for answer in prepared.predict(outputs)])

    before, after = answers(baseline.model_path), answers(Artifact.open(arguments.artifact).model_path)
    expected = scores(before)
    print("| t | ratio | standard error | changed |\n|---|---|---|---|")
    for step in _STEPS:
        moved = [
            tuple(one + np.float32(step) * (other - one) for one, other in zip(row, changed, strict=True))
            for row, changed in zip(before, after, strict=True)
        ]
        found = scores(moved)
        error = np.sqrt(np.square(found - expected).sum()) / expected.sum()
        print(
            f"| {step:+.1f} | {found.sum() / expected.sum():.3%} | {error:.3%} | {np.mean(found != expected):.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
