"""Halves the feed-forward networks of a BERT by magnitude: a student that has everything to learn again.

    python benchmarks/models/halved.py CHECKPOINT -o half
    quantkit distill half --teacher CHECKPOINT --data FILE -o student

Of every layer, the neurons with the greatest product of norms, of the weights they read by and are read by, stay, and
nothing is corrected for those that go. It is for measuring a distillation alone; `quantkit search` makes better ones.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from quantkit.checkpoint import read_checkpoint
from quantkit.errors import QuantkitError
from quantkit.files import new_folder, write_json

_WEIGHTS = "model.safetensors"


def halve(checkpoint: str, out: Path, *, share: float, force: bool) -> None:
    """Write the student.

    Raises:
        CheckpointError: it is no BERT for question answering.
        OutputError: `out` cannot be written.
    """
    source = read_checkpoint(checkpoint, task="squad")
    config = json.loads((source.folder / "config.json").read_text(encoding="utf-8"))
    weights = load_file(source.folder / _WEIGHTS)
    kept = int(config["intermediate_size"] * share)
    for layer in range(config["num_hidden_layers"]):
        inner, outer = (
            f"bert.encoder.layer.{layer}.{name}" for name in ("intermediate.dense", "output.dense")
        )
        read, written = weights[f"{inner}.weight"], weights[f"{outer}.weight"]
        sizes = np.linalg.norm(read, axis=1) * np.linalg.norm(written, axis=0)
        neurons = np.sort(np.argsort(-sizes, kind="stable")[:kept])
        weights[f"{inner}.weight"] = read[neurons]
        weights[f"{inner}.bias"] = weights[f"{inner}.bias"][neurons]
        weights[f"{outer}.weight"] = np.ascontiguousarray(written[:, neurons])
    with new_folder(out, force=force) as folder:
        for path in source.folder.glob("*"):
            if path.name.startswith(("tokenizer", "vocab", "special_tokens")):
                shutil.copyfile(path, folder / path.name)
        write_json(folder / "config.json", {**config, "intermediate_size": kept})
        save_file(weights, folder / _WEIGHTS, {"format": "pt"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Halve; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.5, help="of the neurons that stay")
    parser.add_argument("--force", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        halve(asked.checkpoint, asked.out, share=asked.share, force=asked.force)
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
