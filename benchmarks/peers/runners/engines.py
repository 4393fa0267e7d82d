"""Both runtimes behind one face: a model, opened for a number of threads, runs all batches.

onnxruntime: one session with one thread, called by as many Python threads as there are threads, with the options that
quantkit.runtime uses. OpenVINO: as many streams as threads, one thread each, an asynchronous queue. Nothing of
quantkit is imported.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import openvino

Feeds = dict[str, np.ndarray]
Outputs = list[np.ndarray]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Engine(Protocol):
    """A model that is open."""

    def run(self, batches: Sequence[Feeds]) -> None:
        """Run all batches and throw the outputs away."""


def read_batches(path: Path) -> list[Feeds]:
    """Return the batches of an .npz whose arrays are called `<graph input>.<batch>`."""
    with np.load(path) as stored:
        count = sum(name.startswith(f"{INPUTS[0]}.") for name in stored.files)
        return [{name: stored[f"{name}.{batch}"] for name in INPUTS} for batch in range(count)]


class OnnxRuntime:
    """A model in onnxruntime's CPU provider."""

    def __init__(self, path: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = {
            entry.name: np.int32 if entry.type == "tensor(int32)" else np.int64
            for entry in self._session.get_inputs()
        }
        self._pool = ThreadPoolExecutor(threads)

    def run(self, batches: Sequence[Feeds]) -> None:
        """Run all batches and throw the outputs away."""
        list(self._pool.map(self._run_one, batches))

    def _run_one(self, feeds: Feeds) -> None:
        self._session.run(None, {name: feeds[name].astype(kind) for name, kind in self._inputs.items()})


class OpenVino:
    """A model in OpenVINO's CPU plugin; `precision` is what it chose for what is not INT8."""

    def __init__(self, path: str, threads: int, precision: str | None = None) -> None:
        settings: dict[str, str | int] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
        }
        if precision is not None:
            settings["INFERENCE_PRECISION_HINT"] = precision
        self.compiled = openvino.Core().compile_model(path, "CPU", settings)
        self.precision = self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.outputs: dict[int, Outputs] = {}
        self.keep = False
        self._inputs = {entry.get_any_name() for entry in self.compiled.inputs}
        self._queue = openvino.AsyncInferQueue(self.compiled, threads)
        self._queue.set_callback(self._take)

    def run(self, batches: Sequence[Feeds]) -> None:
        """Run all batches; outputs are kept in `outputs` when `keep` is set."""
        for index, feeds in enumerate(batches):
            self._queue.start_async({name: feeds[name] for name in self._inputs}, index)
        self._queue.wait_all()

    def _take(self, request: openvino.InferRequest, index: int) -> None:
        if self.keep:
            self.outputs[index] = [np.array(tensor.data) for tensor in request.output_tensors]

    def int8_coverage(self) -> float:
        """Return the share of linear layers' weights that the execution graph multiplies as INT8.

        Every linear layer of an encoder sees every token, so by weights is by multiply-accumulates.
        """
        total = integer = 0
        for node in self.compiled.get_runtime_model().get_ordered_ops():
            facts = node.get_rt_info()
            if facts["layerType"].value != "FullyConnected":
                continue
            shape = node.input(1).get_partial_shape()
            weights = int(np.prod([shape[axis].get_length() for axis in range(len(shape))]))
            total += weights
            integer += weights if facts["runtimePrecision"].value in ("u8", "i8") else 0
        return integer / total if total else 0.0
