"""Throughput of a shape within BERT-Large's beside BERT-Large's: encoders of random weights, for speed only.

    python benchmarks/models/priced_shape.py --max-parameters 115000000 --min-throughput 6.5 -o shape.json
    python benchmarks/shape_throughput.py shape.json [--tokens 170] [--rounds 3] [-o FILE]

SHAPE is a DeciBERT's config.json. Encoders are built block by block as prices are measured, fused, in float and as
static INT8; embeddings and head, under a hundredth of the work, are left out, and so is all that trained weights are
needed for. Nothing is exported, so it takes a minute where the models of `quantkit export` take twenty.

All run in turn on one thread. The clock is the thread's CPU time, a row's is that of its batch over its rows, and
ratios are taken within a round. The first is the reference way: rows padded to 384 tokens, one at a time. Others have
rows of their own length, as many as 1,024 tokens hold.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.architectures import Config, architecture
from quantkit.artifact.measure import tool_versions
from quantkit.errors import QuantkitError
from quantkit.files import write_json
from quantkit.graph.model import save_model
from quantkit.progress import track
from quantkit.quantization.grids import signed_grid
from quantkit.recipe.quantize_settings import QuantizeSettings
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.runtime.session import ATTENTION_MASK, open_model
from quantkit.shapes.block_model import INPUT, BlockRequest, float_blocks, round_all
from quantkit.shapes.trials import TOKEN_BUDGET
from quantkit.strict_json import read_json

if TYPE_CHECKING:
    import onnxruntime

_LAYERS, _HIDDEN, _HEADS, _HEAD_SIZE, _WIDTH = 24, 1024, 16, 64, 4096
_PADDED = 384


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    shape: Path
    tokens: int
    rounds: int
    output: Path | None


@dataclass(kw_only=True, slots=True)
class Rung:
    """One encoder on one kind of rows, and the CPU seconds of a row in every round."""

    name: str
    session: "onnxruntime.InferenceSession"
    rows: int
    tokens: int
    seconds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Run a batch."""
        names = [given.name for given in self.session.get_inputs()]
        feeds = {
            INPUT: np.random.default_rng(0).standard_normal((self.rows, self.tokens, _HIDDEN), np.float32),
            ATTENTION_MASK: np.ones((self.rows, self.tokens), np.int64),
        }
        started = time.thread_time()
        self.session.run(None, {name: feeds[name] for name in names})
        self.seconds.append((time.thread_time() - started) / self.rows)


def read_options(arguments: Sequence[str] | None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shape", type=Path, help="config.json of a DeciBERT as wide as BERT-Large")
    parser.add_argument("--tokens", type=int, default=170, help="of a row (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="that count, after one that does not")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    return Options(**vars(parser.parse_args(arguments)))


def blocks_of(heads: Sequence[int], widths: Sequence[int]) -> list[BlockRequest]:
    """Return the blocks of an encoder, layer by layer."""
    return [
        block
        for count, width in zip(heads, widths, strict=True)
        for block in (
            BlockRequest(kind="attention", hidden=_HIDDEN, units=count, size=_HEAD_SIZE),
            BlockRequest(kind="feed_forward", hidden=_HIDDEN, units=width),
        )
    ]


def opened(blocks: Sequence[BlockRequest], folder: Path, *, int8: bool) -> "onnxruntime.InferenceSession":
    """Return an encoder, open on one thread."""
    model = float_blocks(blocks)
    if int8:
        target = resolve_target(NATIVE, cpu_facts())
        grid = signed_grid(saturates=target.saturates).name
        round_all(model, grid=grid, layout=QuantizeSettings().layout_for(target.name))
    path = folder / "encoder.onnx"
    save_model(model, path, external=True)
    return open_model(path, name="encoder")


def open_rungs(options: Options) -> list[Rung]:
    """Return the reference way, and both encoders in float and as INT8."""
    config = Config(values=read_json(options.shape), where=str(options.shape))
    layers = architecture(config.values, config.where).read_shape(config).layers
    encoders = {
        "BERT-Large": blocks_of([_HEADS] * _LAYERS, [_WIDTH] * _LAYERS),
        "the shape": blocks_of([one.heads for one in layers], [one.feed_forward for one in layers]),
    }
    rows = max(1, TOKEN_BUDGET // options.tokens)
    found: list[Rung] = []
    for name, blocks in encoders.items():
        for kind in ("FP32", "INT8"):
            with tempfile.TemporaryDirectory(prefix="quantkit-shape-") as folder:
                session = opened(blocks, Path(folder), int8=kind == "INT8")
            if not found:
                found.append(
                    Rung(name=f"{name}, {kind}, padded to {_PADDED}", session=session, rows=1, tokens=_PADDED)
                )
            found.append(Rung(name=f"{name}, {kind}", session=session, rows=rows, tokens=options.tokens))
    return found


def ratio(one: Rung, other: Rung) -> float:
    """Return how many rows one computes while the other computes one, the median of rounds."""
    return statistics.median(theirs / mine for mine, theirs in zip(one.seconds, other.seconds, strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = read_options(arguments)
    try:
        rungs = open_rungs(options)
        with track("rounds", options.rounds + 1, "rounds") as advance:
            for number in range(options.rounds + 1):
                for rung in rungs:
                    rung.run()
                    if not number:
                        rung.seconds.clear()
                advance(1)
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    reference, large, large_int8, shape, shape_int8 = rungs
    table: list[dict[str, Any]] = [
        {
            "name": rung.name,
            "milliseconds": 1000 * statistics.median(rung.seconds),
            "ratio": ratio(rung, reference),
            "rounds": [theirs / mine for mine, theirs in zip(rung.seconds, reference.seconds, strict=True)],
        }
        for rung in rungs
    ]
    print("| encoder | ms a row | against the first | rounds |\n|---|---|---|---|")
    for row in table:
        spread = f"{min(row['rounds']):.2f} to {max(row['rounds']):.2f}"
        print(f"| {row['name']} | {row['milliseconds']:.1f} | **{row['ratio']:.2f}** | {spread} |")
    over = {"FP32": ratio(shape, large), "INT8": ratio(shape_int8, large_int8)}
    print(
        f"\nThe shape over BERT-Large: FP32 {over['FP32']:.2f}, INT8 {over['INT8']:.2f}; {cpu_facts().model}"
    )
    if options.output:
        content = {"encoders": table, "over": over, "tokens": options.tokens, "rounds": options.rounds}
        write_json(
            options.output,
            {**content, "tools": tool_versions("onnxruntime"), "cpu": cpu_facts().as_json()},
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
