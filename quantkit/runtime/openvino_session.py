"""One OpenVINO model on the CPU, with the face of `Session`: it reads the same ONNX file, without conversion.

What is not INT8 is computed in the precision OpenVINO chooses: bfloat16 on CPUs that have instructions for it, float
elsewhere. That is its own default and stays it here; `precision` says which it was, so that a comparison can.
"""

import contextlib
import importlib
import importlib.util
import os
import queue
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import ArtifactError, EvaluationError, UsageError
from quantkit.runtime.cpu import available_cores
from quantkit.runtime.session import (
    INPUT_IDS,
    TOKEN_TYPE_IDS,
    Arrays,
    SessionOptions,
    StopSignal,
    input_types,
    require_outputs,
)
from quantkit.telemetry import off_in_openvino

Precision = Literal["f32", "bf16"]
_INTEGERS = {"i64": np.int64, "i32": np.int32}
# OpenVINO's messages begin with where in its own source they arose, and the C++ condition.
_NOISE = re.compile(r"^(Exception from |Check '|While validating|\s*$)")


def openvino_installed() -> bool:
    """Tell whether the library can be imported."""
    return importlib.util.find_spec("openvino") is not None


def default_precision() -> str:
    """Return what OpenVINO computes in on this CPU when nobody asks for anything: `bf16` or `f32`.

    Raises:
        UsageError: OpenVINO is not installed.
    """
    return str(_openvino().Core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string())


class OpenVinoSession:
    """A model, ready to run; any number of Python threads may run a one-thread session at once.

    Attributes:
        path: the ONNX file.
        name: what messages call the model.
        outputs: names of the graph outputs that `run` returns, in that order.
        uses_token_types: the graph takes `token_type_ids`.
        by_position: for each of `outputs`, whether its second dimension is the sequence (and not the labels).
        precision: what OpenVINO computes in where the graph is not INT8: `f32`, `bf16`, `f16`.
    """

    def __init__(
        self,
        path: Path,
        *,
        outputs: tuple[str, ...],
        threads: int = 1,
        options: SessionOptions | None = None,
        precision: Precision | None = None,
        name: str | None = None,
    ) -> None:
        """Open a model.

        Args:
            path: the ONNX file.
            outputs: the graph outputs wanted.
            threads: threads inside one run. With 1, as many runs at once as this process has cores.
            options: taken for the face's sake: OpenVINO has neither of these settings.
            precision: what to compute in where the graph is not INT8; None leaves it to OpenVINO.
            name: what messages call the model when its path is a temporary one; the path otherwise.

        Raises:
            ArtifactError: it is missing, not ONNX, or lacks an input or an output.
            UsageError: OpenVINO is not installed, or `threads` is below 1.
        """
        del options
        if threads < 1:
            raise UsageError(f"{threads} threads cannot run a model; give 1 or more")
        self.path = path
        self.name = name or str(path)
        self.outputs = outputs
        self._model = _compile(path, self.name, threads, precision)
        self.precision: str = self._model.get_property("INFERENCE_PRECISION_HINT").to_string()
        kinds = {
            entry.get_any_name(): str(entry.get_element_type().to_string()) for entry in self._model.inputs
        }
        self._types = input_types(self.name, kinds, _INTEGERS)
        self.uses_token_types = TOKEN_TYPE_IDS in self._types
        shapes = {
            label: entry.get_partial_shape() for entry in self._model.outputs for label in entry.get_names()
        }
        require_outputs(self.name, outputs, sorted(shapes))
        self.by_position = tuple(
            shapes[wanted].rank.is_static and len(shapes[wanted]) > 1 and shapes[wanted][1].is_dynamic
            for wanted in outputs
        )
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, feeds: Mapping[str, NDArray[Any]], stop: StopSignal | None = None) -> Arrays:
        """Run one batch.

        Args:
            feeds: graph input → integers [batch, sequence]; those the graph does not take are left out.
            stop: refuses runs to come; one that is under way ends by itself.

        Returns:
            The arrays named by `outputs`, no longer OpenVINO's own memory.

        Raises:
            EvaluationError: OpenVINO cannot run the batch, or `stop` was given its signal.
        """
        if stop is not None and stop.options.terminate:
            raise EvaluationError(f"{self.name}: the run was stopped; start it again")
        taken = {label: np.ascontiguousarray(feeds[label], kind) for label, kind in self._types.items()}
        with self._request() as request:
            try:
                request.infer(taken, share_inputs=True)
            except RuntimeError as error:
                shape = " x ".join(map(str, taken[INPUT_IDS].shape))
                raise EvaluationError(
                    f"{self.name}: openvino cannot run a batch of {shape} tokens ({telling_line(error)}); "
                    "check that the tokenizer and config are the model's own"
                ) from error
            return tuple(np.array(request.get_tensor(label).data) for label in self.outputs)

    @contextlib.contextmanager
    def _request(self) -> Iterator[Any]:
        """Lend an inference request that nobody else has: one runs one batch at a time."""
        try:
            request = self._requests.get_nowait()
        except queue.Empty:
            request = self._model.create_infer_request()
        try:
            yield request
        finally:
            self._requests.put(request)


def telling_line(error: Exception) -> str:
    """Return the part of an OpenVINO message that says what is wrong: one line, no places in its source."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if not _NOISE.match(line)]
    line = (told or [line for line in lines if line] or [type(error).__name__])[0]
    return line if len(line) <= 160 else f"{line[:157]}..."


def _openvino() -> Any:
    try:
        with off_in_openvino():
            return importlib.import_module("openvino")
    except ModuleNotFoundError:
        raise UsageError(
            'runtime openvino needs openvino, which is not installed; run pip install "quantkit[openvino]"'
        ) from None


def _compile(path: Path, name: str, threads: int, precision: Precision | None) -> Any:
    core = _openvino().Core()
    if not path.is_file():
        raise ArtifactError(f"{name}: no such model; make the artifact again")
    # A one-thread session is shared by as many threads as call it, each of which needs a stream.
    streams = available_cores() if threads == 1 else 1
    settings: dict[str, str | int] = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams * threads}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    try:
        return core.compile_model(os.fspath(path), "CPU", settings)
    except RuntimeError as error:
        raise ArtifactError(
            f"{name}: openvino cannot open it ({telling_line(error)}); make the model again"
        ) from error
