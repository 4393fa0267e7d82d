"""Where a model's time goes, operator by operator, against what this machine could do.

    python benchmarks/where_time_goes.py ARTIFACT [--rows 6] [--tokens 170] [--equal-lengths] [-o FILE]

One thread runs one batch of random tokens many times under onnxruntime's profiler; an operator's time is that of the
fastest run of each node, added up over the nodes, for 1,000 tokens. The limit beside it is measured in the same
process, in turns with the runs, and is the fastest too:

    products       multiply-accumulates at the best rate of one large product: MatMulIntegerToFloat [128, 1024] x
                   [1024, 1024] for integers, MatMul of the same size for floats
    attention      the multiply-accumulates of both its products at the float rate; the softmax is not counted
    all others     bytes read and written at the rate of copying arrays of the size of its largest tensor

So a limit is not what can be reached, but what cannot be beaten with the same operators. Times of a profiled run are a
few percent above those of a plain one.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import QuantkitError
from quantkit.files import write_json
from quantkit.graph.mask_free import write_mask_free
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.session import ATTENTION_MASK, INPUT_IDS, TOKEN_TYPE_IDS, Session, Written
from quantkit.tasks import task

INTEGER_PRODUCTS = (
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "MatMulInteger",
    "QGemm",
    "QLinearMatMul",
)
FLOAT_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulNBits")
ATTENTION = "MultiHeadAttention"
BYTES = {"float": 4, "int32": 4, "int64": 8, "int8": 1, "uint8": 1, "bool": 1}
# The product whose rate is the limit; it takes less time than a busy machine leaves it alone.
ROWS, SIDE = 128, 1024
COPIES = tuple(2**power for power in range(16, 27, 2))  # bytes: from first-level cache to memory
Shapes = list[tuple[str, list[int]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    artifact: Path
    rows: int
    tokens: int
    runs: int
    equal_lengths: bool
    output: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Best rates seen: multiply-accumulates a second of one thread, and size → bytes a second read and written."""

    integer_macs: float
    float_macs: float
    copied_bytes: dict[int, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """An operator's row: nodes, microseconds for 1,000 tokens, share of the whole, and the limit in microseconds."""

    operator: str
    nodes: int
    time_us: float
    share: float
    limit_us: float


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rows", type=int, default=6, help="rows of the batch (default: %(default)s)")
    parser.add_argument("--tokens", type=int, default=170, help="tokens of each (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=15, help="runs that count (default: %(default)s)")
    parser.add_argument("--equal-lengths", action="store_true", help="attention without a mask")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    return Options(**vars(parser.parse_args(arguments)))


def product_session(text: str, weights: dict[str, np.ndarray]) -> Any:
    """Return a one-thread session of one operator."""
    import onnxruntime  # after quantkit, which turns its telemetry off

    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def probes() -> dict[str, Callable[[], object]]:
    """Return what the limits are measured with."""
    random = np.random.default_rng(0)
    whole = random.integers(0, 256, (ROWS, SIDE)).astype(np.uint8)
    integers = product_session(
        f"g (uint8[{ROWS}, {SIDE}] x) => (float[{ROWS}, {SIDE}] y) "
        "{ y = com.microsoft.MatMulIntegerToFloat (x, w, s, t, z) }",
        {
            "w": random.integers(-127, 128, (SIDE, SIDE)).astype(np.int8),
            "s": np.asarray(0.01, np.float32),
            "t": np.full(SIDE, 0.01, np.float32),
            "z": np.asarray(128, np.uint8),
        },
    )
    real = random.normal(size=(SIDE, SIDE)).astype(np.float32)
    floats = product_session(
        f"g (float[{ROWS}, {SIDE}] x) => (float[{ROWS}, {SIDE}] y) {{ y = MatMul (x, w) }}", {"w": real}
    )
    found: dict[str, Callable[[], object]] = {
        "integer": lambda: integers.run(None, {"x": whole}),
        "float": lambda: floats.run(None, {"x": real[:ROWS]}),
    }
    source, target = np.ones(max(COPIES), np.uint8), np.empty(max(COPIES), np.uint8)
    for wide in COPIES:
        found[f"copy {wide}"] = partial(np.copyto, target[:wide], source[:wide])
    return found


def best_limits(times: dict[str, list[float]]) -> Limits:
    """Return the rates of the fastest probes."""
    return Limits(
        integer_macs=ROWS * SIDE**2 / min(times["integer"]),
        float_macs=ROWS * SIDE**2 / min(times["float"]),
        copied_bytes={wide: 2 * wide / min(times[f"copy {wide}"]) for wide in COPIES},
    )


def shapes(entries: list[dict[str, list[int]]]) -> Shapes:
    """Return (type, shape) of the tensors of a trace event."""
    return [(kind, shape) for entry in entries for kind, shape in entry.items()]


def size(tensors: Shapes) -> int:
    """Return the bytes of tensors."""
    return sum(BYTES.get(kind, 4) * math.prod(shape) for kind, shape in tensors)


def limit_of(event: dict[str, Any], limits: Limits) -> float:
    """Return the seconds that a node cannot do without."""
    operator = event["args"]["op_name"]
    inputs, outputs = (
        shapes(event["args"]["input_type_shape"]),
        shapes(event["args"]["output_type_shape"]),
    )
    if operator in (*INTEGER_PRODUCTS, *FLOAT_PRODUCTS):
        macs = math.prod(outputs[0][1]) * inputs[0][1][-1]
        return macs / (limits.integer_macs if operator in INTEGER_PRODUCTS else limits.float_macs)
    if operator == ATTENTION:
        rows, queries, width = inputs[0][1]
        return 2 * rows * queries * inputs[1][1][1] * width / limits.float_macs
    largest = max(size([tensor]) for tensor in inputs + outputs)
    rate = next(
        (rate for wide, rate in limits.copied_bytes.items() if wide >= largest),
        limits.copied_bytes[max(limits.copied_bytes)],
    )
    # Of a table only the rows that are looked up are read.
    moved = 2 * size(outputs) if operator == "Gather" else size(inputs + outputs)
    return moved / rate


def measure(path: Path, options: Options, outputs: tuple[str, ...]) -> tuple[list[Share], Limits]:
    """Profile a model and the limits in turns; return a row for each operator, longest first."""
    ids = np.random.default_rng(0).integers(5, 1000, (options.rows, options.tokens))
    feeds = {INPUT_IDS: ids, ATTENTION_MASK: np.ones_like(ids), TOKEN_TYPE_IDS: np.zeros_like(ids)}
    with tempfile.TemporaryDirectory(prefix="quantkit-profile-") as folder:
        if options.equal_lengths:
            path = write_mask_free(path, Path(folder) / "equal-lengths")
        session = Session(path, outputs=outputs, writes=Written(trace=Path(folder) / "trace"))
        limited = probes()
        times: dict[str, list[float]] = {name: [] for name in limited}
        for _ in range(options.runs + 2):
            session.run(feeds)
            for name, probe in limited.items():
                probe()  # a second time in a row, so that caches hold what they can
                # Time of this thread alone: it is the one that computes.
                started = time.thread_time()
                probe()
                times[name].append(time.thread_time() - started)
        events = json.loads(session.end_profile().read_text(encoding="utf-8"))
    limits = best_limits(times)
    return summed_up(events, limits, options.rows * options.tokens), limits


def summed_up(events: Sequence[dict[str, Any]], limits: Limits, tokens: int) -> list[Share]:
    """Return operator → row."""
    runs: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            runs[event["name"]].append(event)
    seconds: defaultdict[str, float] = defaultdict(float)
    least: defaultdict[str, float] = defaultdict(float)
    nodes: defaultdict[str, int] = defaultdict(int)
    for found in runs.values():
        operator = found[0]["args"]["op_name"]
        seconds[operator] += min(event["dur"] for event in found) * 1e-6
        least[operator] += limit_of(found[-1], limits)
        nodes[operator] += 1
    whole = sum(seconds.values())
    scale = 1e6 * 1000 / tokens
    return [
        Share(
            operator=operator,
            nodes=nodes[operator],
            time_us=spent * scale,
            share=spent / whole,
            limit_us=least[operator] * scale,
        )
        for operator, spent in sorted(seconds.items(), key=lambda entry: -entry[1])
    ]


def print_table(rows: Sequence[Share], limits: Limits) -> None:
    """Print the table as Markdown."""
    print(
        f"limits: {limits.integer_macs / 1e9:.0f} G integer and {limits.float_macs / 1e9:.0f} G float "
        f"multiply-accumulates/s, copies of "
        + ", ".join(
            f"{wide // 1024:,} kB {rate / 1e9:.0f} GB/s" for wide, rate in limits.copied_bytes.items()
        )
        + "\n"
    )
    print("| operator | nodes | us / 1,000 tokens | share | limit | time / limit |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        times = f"{row.time_us / row.limit_us:.1f}" if row.limit_us >= 1 else "-"
        print(
            f"| {row.operator} | {row.nodes} | {row.time_us:,.0f} | {row.share:.1%} "
            f"| {row.limit_us:,.0f} | {times} |"
        )
    time_us, limit_us = sum(row.time_us for row in rows), sum(row.limit_us for row in rows)
    print(f"| all | | {time_us:,.0f} | 100 % | {limit_us:,.0f} | {time_us / limit_us:.1f} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = read_options(arguments)
    try:
        artifact = Artifact.open(options.artifact)
        rows, limits = measure(artifact.model_path, options, task(artifact.task).outputs)
    except QuantkitError as error:
        print(error, file=sys.stderr)
        return 2
    print_table(rows, limits)
    if options.output:
        content = {
            "rows": options.rows,
            "tokens": options.tokens,
            "equal_lengths": options.equal_lengths,
            "limits": asdict(limits),
            "operators": [asdict(row) for row in rows],
            "tools": tool_versions("onnxruntime"),
            "cpu": cpu_facts().as_json(),
        }
        write_json(options.output, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
