"""Memory of several instances, with weights of their own and with weights they share.

    python benchmarks/shared_weights.py ARTIFACT [--instances 2] [--tokens 1024]

Each instance runs one batch. Printed is the sum over the instances of Pss (a page that n processes map counts 1/n
each), and of what is private to each, in MB; the answers of both ways must be the same, bit for bit. Linux only.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from quantkit.artifact import Artifact
from quantkit.runtime.engine import Feeds, Model, ProcessEngine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.session import Arrays
from quantkit.runtime.shared_weights import write_shared
from quantkit.runtime.topology import Placement
from quantkit.tasks import task

_LENGTH = 128


def memory_mb(pid: int) -> tuple[float, float]:
    """Return Pss and the private part of a process's memory."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        found[name] = int(value.split()[0]) * 1024 / 1e6
    return found["Pss"], found["Private_Dirty"] + found["Private_Clean"]


def measure(model: Model, instances: int, feeds: Feeds) -> tuple[float, float, Arrays]:
    """Return the sums over the instances, and the answers to the batch."""
    placement = Placement(cpus=((),) * instances, fits=None, slice_bytes=None, slice_need=0)
    with ProcessEngine(model, placement) as engine:
        futures = [engine.submit(feeds) for _ in range(2 * instances)]
        answers, *_ = [future.result() for future in futures]
        found = [memory_mb(pid) for pid in engine.pids]
    return sum(pss for pss, _ in found), sum(private for _, private in found), answers


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=1024)
    options = parser.parse_args()
    artifact = Artifact.open(options.artifact)
    random = np.random.default_rng(0)
    ids = random.integers(5, 1000, (max(1, options.tokens // _LENGTH), _LENGTH))
    feeds = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    profile = RuntimeProfile(instances=options.instances, engine="processes")
    answers = []
    print(f"| weights | {options.instances} instances, MB | private, MB |\n|---|---|---|")
    for way in ("own", "shared"):
        folder = Path(tempfile.mkdtemp(prefix="quantkit-engine-"))
        path = artifact.model_path
        if way == "shared":
            path = write_shared(path, folder, name="model", threads=1)
        model = Model(
            path=path,
            outputs=task(artifact.task).outputs,
            profile=profile,
            optimized=way == "shared",
            folder=folder,
            name=str(artifact.path),
        )
        pss, private, found = measure(model, options.instances, feeds)
        answers.append(found)
        print(f"| {way} | {pss:.0f} | {private:.0f} |", flush=True)
    same = all(np.array_equal(own, shared) for own, shared in zip(*answers, strict=True))
    print(f"\nanswers: {'the same' if same else 'DIFFERENT'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
