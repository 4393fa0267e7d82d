"""One artifact on two kinds of CPU: how far its answers are apart.

    python benchmarks/across_cpus.py record ARTIFACT here.npz --data FILE [--questions 60]
    prefix="$(.ci/avx2/prefix python)"
    $prefix python benchmarks/across_cpus.py record ARTIFACT there.npz --data FILE [--questions 60]
    python benchmarks/across_cpus.py compare here.npz there.npz

Integer products over weights that keep the pair limit are the same numbers everywhere. The float operators between them
have kernels of their own on each kind of CPU, whose last digits differ, and quantizing the next layer's input makes a
step of some of them. `compare` prints how many logits are equal to the last bit, the largest difference, the mean
Kullback-Leibler divergence of the answers' distributions in nats, and the share of questions with another answer. An
emulator (CONTRIBUTING.md) is slow, and right to the last bit.
"""

import argparse
from pathlib import Path

import numpy as np

from quantkit.artifact import Artifact
from quantkit.metrics.distributions import divergence
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import batched, run_job
from quantkit.runtime.session import Arrays, Session
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.throughput import sample


def main() -> None:
    """Record the answers of an artifact on this CPU, or compare two recordings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record")
    recording.add_argument("artifact", type=Path)
    recording.add_argument("out", type=Path)
    recording.add_argument("--data", required=True, help="dataset name, or a file")
    recording.add_argument("--data-dir", type=Path, help="where datasets are")
    recording.add_argument("--questions", type=int, default=60, help="chosen by hash")
    comparing = verbs.add_parser("compare")
    comparing.add_argument("one", type=Path)
    comparing.add_argument("other", type=Path)
    given = parser.parse_args()
    if given.verb == "record":
        _record(given)
    else:
        _compare(given.one, given.other)


def _record(given: argparse.Namespace) -> None:
    artifact = Artifact.open(given.artifact)
    dataset = sample(load(given.data, artifact.task, given.data_dir), given.questions)
    prepared = Reader.of(artifact).prepare(dataset)
    session = Session(artifact.model_path, outputs=prepared.reader.task.outputs)
    with ThreadEngine([session]) as engine:
        outputs = run_job(engine, batched(prepared, token_budget=1024), label="answer")
    answers = [prediction.answer for prediction in prepared.predict(outputs)]
    logits = {
        f"logits {number} {place}": array
        for number, arrays in enumerate(outputs)
        for place, array in enumerate(arrays)
    }
    kernels = resolve_target(NATIVE, cpu_facts()).name
    np.savez(given.out, allow_pickle=False, answers=np.array(answers), kernels=np.array(kernels), **logits)


def _compare(one: Path, other: Path) -> None:
    (first, answers), (second, others) = _read(one), _read(other)
    equal = [
        np.equal(*arrays).ravel()
        for pair in zip(first, second, strict=True)
        for arrays in zip(*pair, strict=True)
    ]
    largest = max(
        float(np.abs(left - right).max())
        for pair in zip(first, second, strict=True)
        for left, right in zip(*pair, strict=True)
    )
    changed = np.mean(answers != others)
    print(f"logits equal {np.concatenate(equal).mean():.1%}, largest difference {largest:.3g}")
    print(f"divergence {divergence(first, second):.3g} nats, answers changed {changed:.1%} of {len(answers)}")


def _read(path: Path) -> tuple[list[Arrays], np.ndarray]:
    """Return the logits of every window, and the answers."""
    stored = np.load(path)
    print(f"{path}: {stored['kernels']} kernels")
    rows: dict[int, list[np.ndarray]] = {}
    for name in stored.files:
        if name.startswith("logits "):
            rows.setdefault(int(name.split()[1]), []).append(stored[name])
    return [tuple(rows[number]) for number in sorted(rows)], stored["answers"]


if __name__ == "__main__":
    main()
