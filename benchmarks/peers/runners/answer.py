"""Run all batches through OpenVINO and keep the outputs.

    answer.py MODEL BATCHES.npz OUTPUT.npz --threads N [--precision HINT]

OUTPUT holds `<position of the output>.<batch>`, the graph's outputs in their order. Prints, as the last line,
{"precision", "coverage", "outputs": names}.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from engines import OpenVino, read_batches


def main() -> None:
    """Run and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("batches", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision")
    found = parser.parse_args()
    engine = OpenVino(found.model, found.threads, found.precision)
    engine.keep = True
    engine.run(read_batches(found.batches))
    arrays = {
        f"{position}.{batch}": array
        for batch, arrays in engine.outputs.items()
        for position, array in enumerate(arrays)
    }
    np.savez(found.output, allow_pickle=False, **arrays)
    names = [entry.get_any_name() for entry in engine.compiled.outputs]
    facts = {"precision": engine.precision, "coverage": engine.int8_coverage(), "outputs": names}
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
