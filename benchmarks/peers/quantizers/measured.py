"""What every quantizer script shares: its command line, the calibration rows, and what it cost.

Nothing of quantkit is imported: the scripts run in the environments of the tools they measure.
"""

import argparse
import contextlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
Row = dict[str, np.ndarray]


@dataclass(frozen=True)
class Work:
    """One quantization: what is quantized, to where, how, and on what it is calibrated.

    Attributes:
        source: the FP32 ONNX file as exported, not fused.
        rows: graph input → int64 [1, tokens], one dictionary a question window, unpadded.
        output: the file to write.
        artifact: which of the tool's ways.
        heads: attention heads.
        hidden: hidden size.
        checkpoint: folder of the PyTorch checkpoint, for a tool that does not read ONNX.
    """

    source: Path
    rows: list[Row]
    output: Path
    artifact: str
    heads: int
    hidden: int
    checkpoint: Path | None


def read_work(description: str | None, artifacts: tuple[str, ...]) -> Work:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("source", type=Path, help="FP32 ONNX file, not fused")
    parser.add_argument("calibration", type=Path, help=".npz with <input>.<row> arrays")
    parser.add_argument("output", type=Path, help="file to write")
    parser.add_argument("--artifact", choices=artifacts, default=artifacts[0])
    parser.add_argument("--heads", type=int, required=True, help="attention heads")
    parser.add_argument("--hidden", type=int, required=True, help="hidden size")
    parser.add_argument(
        "--checkpoint", type=Path, help="PyTorch checkpoint, for a tool that does not read ONNX"
    )
    found = parser.parse_args()
    return Work(
        source=found.source.resolve(),
        rows=read_rows(found.calibration),
        output=found.output.resolve(),
        artifact=found.artifact,
        heads=found.heads,
        hidden=found.hidden,
        checkpoint=found.checkpoint,
    )


def read_rows(path: Path) -> list[Row]:
    """Return the rows of an .npz whose arrays are called `<graph input>.<row>`."""
    with np.load(path) as stored:
        count = sum(name.startswith(f"{INPUTS[0]}.") for name in stored.files)
        names = [name for name in INPUTS if f"{name}.0" in stored.files]
        return [{name: stored[f"{name}.{row}"] for name in names} for row in range(count)]


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Print, as the last line, the seconds of the block and the peak memory of this process."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": peak_bytes() / 1e6}))


def peak_bytes() -> int:
    """Return the peak resident memory of this process or of its largest child, in bytes.

    On Linux `ru_maxrss` survives `exec`, so it can be that of whoever started this process; VmHWM is its own.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return max(int(line.split()[1]) * 1024, children)
    return max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, children)
