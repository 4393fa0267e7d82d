"""Calibration against onnxruntime's MinMax calibrater, and its peak memory on a BERT-Large shape.

Every measurement is a process of its own, with a cache folder of its own, so nothing is ever taken from a cache.

    python benchmarks/calibration.py ARTIFACT --data-dir DIR       time: ours and onnxruntime's, in turns
    python benchmarks/calibration.py ARTIFACT --data-dir DIR --bert-large      memory: a random 24 x 1024 encoder,
                                                                   ARTIFACT gives the tokenizer

Ends with exit code 1 when ours takes longer than --require times onnxruntime's, or more memory than --memory-gb.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from quantkit.artifact import Artifact
from quantkit.artifact.measure import peak_memory
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import load_model
from quantkit.quantization.observe.calibration import calibrate
from quantkit.quantization.observe.job import CalibrationJob
from quantkit.runtime.cpu import cpu_facts
from quantkit.tasks import Window
from quantkit.tasks.calibration_set import select
from quantkit.tasks.prepared import Prepared, Reader

METHODS = ("minmax", "percentile", "entropy", "mse")
ORT = "onnxruntime MinMax"
# BERT-Large: layers, hidden, intermediate, heads.
LAYERS, HIDDEN, INNER, HEADS = 24, 1024, 4096, 16
GB = 10**9


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    artifact: Path
    calib: str
    data_dir: Path | None
    questions: int
    rounds: int
    bert_large: bool
    require: float
    memory_gb: float
    one: str | None
    model: Path | None


def read_options() -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path, help="fused FP32 artifact")
    parser.add_argument("--calib", default="squad", help="calibration set")
    parser.add_argument("--data-dir", type=Path, help="where the dataset is")
    parser.add_argument("--questions", type=int, default=100, help="questions to calibrate on")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, in turns")
    parser.add_argument("--bert-large", action="store_true", help="measure memory on a BERT-Large shape")
    parser.add_argument(
        "--require", type=float, default=1.0, help="most median time as a share of onnxruntime's"
    )
    parser.add_argument("--memory-gb", type=float, default=6.0, help="most peak memory, 1 GB = 10^9 bytes")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    return Options(**vars(parser.parse_args()))


def prepare(options: Options) -> Prepared:
    """Return the windows of the calibration questions."""
    chosen = select(options.calib, "squad", options.questions, options.data_dir)
    return Reader.of(Artifact.open(options.artifact, check=False)).prepare(chosen.dataset)


def calibrate_ours(path: Path, prepared: Prepared, method: str) -> None:
    """Do one calibration, from the file to the ranges."""
    model = load_model(path)
    tensors = {layer.activation.name: layer.activation for layer in linear_layers(model.graph)}
    job = CalibrationJob(rows=prepared.rows, pad_id=prepared.pad_id, method=method, percentile=99.99)
    calibrate(model, list(tensors.values()), job, key=f"benchmark-{method}")


class _Reader:
    """What onnxruntime takes rows from: one unpadded row at a time."""

    def __init__(self, windows: Sequence[Window], inputs: Sequence[str]) -> None:
        self._rows: Iterator[dict[str, np.ndarray]] = iter(
            [
                {name: array for name, array in self._feeds(window).items() if name in inputs}
                for window in windows
            ]
        )

    @staticmethod
    def _feeds(window: Window) -> dict[str, np.ndarray]:
        ids, types = window.input_ids[None], window.token_type_ids[None]
        return {"input_ids": ids, "token_type_ids": types, "attention_mask": np.ones_like(ids)}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next row, None at the end."""
        return next(self._rows, None)


def calibrate_onnxruntime(path: Path, windows: Sequence[Window]) -> None:
    """Do one MinMax calibration by onnxruntime, from the file to the ranges."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    inputs = [entry.name for entry in onnx.load(path, load_external_data=False).graph.input]
    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            path,
            ["MatMul"],
            augmented_model_path=f"{folder}/augmented.onnx",
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(windows, inputs))
        calibrator.compute_data()


def run_child(options: Options, what: str, model: Path) -> dict[str, float]:
    """Run one calibration in a process with an empty cache and return its seconds and peak bytes."""
    command = [sys.executable, __file__, str(options.artifact), "--one", what, "--model", str(model)]
    command += ["--calib", options.calib, "--questions", str(options.questions)]
    command += ["--data-dir", str(options.data_dir)] if options.data_dir else []
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "QUANTKIT_CACHE": cache}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_one(options: Options) -> None:
    """Do one calibration and print what it took: the child's part."""
    assert options.model is not None
    prepared = prepare(options)
    started, worked = time.perf_counter(), time.process_time()
    if options.one == ORT:
        calibrate_onnxruntime(options.model, prepared.rows)
    else:
        calibrate_ours(options.model, prepared, str(options.one))
    found = {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - worked,
        "peak": peak_memory(),
        "tokens": sum(prepared.lengths),
    }
    print(json.dumps(found))


def compare_times(options: Options) -> bool:
    """Print the table of times; return whether ours with minmax is no slower than required."""
    model = Artifact.open(options.artifact).model_path
    ways = (ORT, *METHODS)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    peaks: dict[str, float] = {}
    for round_number in range(options.rounds):
        first = round_number % len(ways)
        for way in (*ways[first:], *ways[:first]):
            found = run_child(options, way, model)
            seconds[way].append(found["seconds"])
            cpu[way].append(found["cpu"])
            peaks[way] = max(peaks.get(way, 0.0), found["peak"])
    print(
        f"{options.questions} questions of {options.calib}, {found['tokens']:,} tokens, {options.rounds} rounds"
    )
    print(f"{cpu_facts().model}, {cpu_facts().cores} cores\n")
    print("| calibration | seconds | time / onnxruntime | spread | CPU seconds | peak memory |")
    print("|---|---|---|---|---|---|")
    for way in ways:
        ratios = [mine / theirs for mine, theirs in zip(seconds[way], seconds[ORT], strict=True)]
        name = way if way == ORT else f"quantkit {way}"
        middle = statistics.median(ratios)
        cells = (
            f"{statistics.median(seconds[way]):.2f}",
            f"{middle:.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}",
            f"{statistics.median(cpu[way]):.2f}",
            f"{peaks[way] / GB:.2f} GB",
        )
        print(f"| {name} | {' | '.join(cells)} |")
        if way == "minmax":
            passed = middle <= options.require
    return passed


def kept_bytes(tokens: int) -> int:
    """Return what a calibrator that keeps every input and output of every MatMul holds: float32, all tokens.

    A layer reads 3 x hidden + inner values a token (query, key and value share theirs) and writes 5 x hidden + inner.
    """
    read = 3 * HIDDEN + INNER
    written = 5 * HIDDEN + INNER
    return 4 * tokens * LAYERS * (read + written)


def measure_memory(options: Options) -> bool:
    """Print peak memory on a BERT-Large shape; return whether it stays below the limit."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        write_bert_large(model)
        weights = (Path(folder) / "model.onnx.data").stat().st_size
        rows = {way: run_child(options, way, model) for way in ("percentile", "entropy")}
    tokens = int(rows["entropy"]["tokens"])
    print(
        f"{LAYERS} x {HIDDEN}, {weights / GB:.2f} GB of weights; {options.questions} questions, {tokens:,} tokens"
    )
    print(f"every MatMul input and output of these rows kept: {kept_bytes(tokens) / GB:.1f} GB\n")
    print("| calibration | seconds | peak memory |\n|---|---|---|")
    for way, found in rows.items():
        print(f"| quantkit {way} | {found['seconds']:.1f} | {found['peak'] / GB:.2f} GB |")
    return all(found["peak"] < options.memory_gb * GB for found in rows.values())


def write_bert_large(path: Path) -> None:
    """Write a random fused encoder of BERT-Large's shape, weights beside it."""
    random = np.random.default_rng(0)
    initializers: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []

    def weight(name: str, *shape: int) -> str:
        array = random.standard_normal(shape, np.float32) * np.float32(0.03)
        initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        domain = "" if kind in ("MatMul", "Gather", "Cast", "Split", "Squeeze") else "com.microsoft"
        nodes.append(helper.make_node(kind, inputs, [f"{name}.y"], name=name, domain=domain, **attributes))
        return f"{name}.y"

    def linear(name: str, source: str, inputs: int, outputs: int) -> str:
        return node("MatMul", [source, weight(f"{name}.weight", inputs, outputs)], name)

    def norm(name: str, source: str, skip: str) -> str:
        parts = [weight(f"{name}.{part}", HIDDEN) for part in ("gamma", "beta", "bias")]
        return node("SkipLayerNormalization", [source, skip, *parts], name, epsilon=1e-12)

    mask = node("Cast", ["attention_mask"], "mask", to=onnx.TensorProto.INT32)
    x = node("Gather", [weight("words", 30522, HIDDEN), "input_ids"], "embedded")
    for number in range(LAYERS):
        layer = f"layer.{number}"
        inner = [linear(f"{layer}.{part}", x, HIDDEN, HIDDEN) for part in ("query", "key", "value")]
        bias = weight(f"{layer}.attention.bias", 3 * HIDDEN)
        mixed = node("MultiHeadAttention", [*inner, bias, mask], f"{layer}.attention", num_heads=HEADS)
        x = norm(f"{layer}.norm1", linear(f"{layer}.output", mixed, HIDDEN, HIDDEN), x)
        wide = linear(f"{layer}.up", x, HIDDEN, INNER)
        active = node("BiasGelu", [wide, weight(f"{layer}.up.bias", INNER)], f"{layer}.gelu")
        x = norm(f"{layer}.norm2", linear(f"{layer}.down", active, INNER, HIDDEN), x)
    logits = linear("qa_outputs", x, HIDDEN, 2)
    sides = ["batch", "sequence"]
    graph = helper.make_graph(
        nodes,
        "bert-large",
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.INT64, sides)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, [*sides, 2])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}.data")


def main() -> int:
    """Measure and print; return the exit code."""
    options = read_options()
    if options.one is not None:
        measure_one(options)
        return 0
    passed = measure_memory(options) if options.bert_large else compare_times(options)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
