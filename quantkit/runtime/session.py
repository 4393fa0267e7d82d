"""One onnxruntime session on the CPU, opened with errors a user can act on.

A session with one thread runs in the thread that calls it, so several Python threads can share it: `run`
releases the interpreter lock and is safe to call at once, weights are in memory once, and nothing waits for
other threads between operators. That is faster than giving one session all cores, which splits every small
operator.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as state

from quantkit.errors import ArtifactError, OutputError, UsageError
from quantkit.runtime.cpu import saturates_here

Arrays = tuple[NDArray[Any], ...]

INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
TOKEN_TYPE_IDS = "token_type_ids"  # noqa: S105  (the name of a graph input)

# The binding has no common class for what onnxruntime raises.
ONNXRUNTIME_ERRORS: tuple[type[Exception], ...] = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NoSuchFile,
    state.NotImplemented,
    state.RuntimeException,
    UnicodeDecodeError,  # a name, or its message with a name in it, is not UTF-8
)
_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_ERRORS_ONLY = 3
_NOTHING = 4
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
# On any CPU onnxruntime then turns int8 weights into uint8 ones, also where that only costs time.
_UNSIGNED_WEIGHTS = "session.x64quantprecision"
_SHARED = "Attempt to replace the existing tensor"  # what it says when two nodes share such a weight or its zero point
_NOT_WRITTEN = "Failed to write"  # what onnxruntime says of an optimized model on a full disk


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionOptions:
    """What a runtime may be told about one session.

    Attributes:
        spinning: threads inside one run go on waiting for work, without sleeping, after it has ended.
        arena: memory of a finished run is kept for the next.
        optimized: the file is one that onnxruntime wrote as `optimized_model`, and is run as it is.
        packed: `optimized_model` holds the weights as this CPU's kernels read them.
        exact_int8: where sums of u8 x s8 products saturate, int8 weights become uint8 ones, whose sums do not.
    """

    spinning: bool = False
    arena: bool = True
    optimized: bool = False
    packed: bool = False
    exact_int8: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What onnxruntime writes about a session.

    Attributes:
        optimized_model: the graph it will really execute, weights beside it.
        trace: prefix of the file with a trace of every run.
    """

    optimized_model: Path | None = None
    trace: Path | None = None


_NO_FILE = Written()


class StopSignal:
    """Makes every run that was given it return at the next operator, with an error."""

    def __init__(self) -> None:
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = _NOTHING

    def stop(self) -> None:
        """End the runs under way, and refuse those to come."""
        self._options.terminate = True

    @property
    def options(self) -> onnxruntime.RunOptions:
        """What onnxruntime takes."""
        return self._options


class Session:
    """A model, ready to run.

    Attributes:
        path: the ONNX file.
        outputs: names of the graph outputs that `run` returns, in that order.
        uses_token_types: the graph takes `token_type_ids`.
        by_position: for each of `outputs`, whether its second dimension is the sequence (and not the labels).
    """

    def __init__(
        self,
        path: Path,
        *,
        outputs: tuple[str, ...],
        threads: int = 1,
        options: SessionOptions | None = None,
        writes: Written = _NO_FILE,
        name: str | None = None,
    ) -> None:
        """Open a model.

        Args:
            path: the ONNX file.
            outputs: the graph outputs wanted.
            threads: threads inside one run. With 1, any number of Python threads may run it at once.
            options: what onnxruntime may be told besides.
            writes: the files that onnxruntime writes.
            name: what messages call the model when its path is a temporary one; the path otherwise.

        Raises:
            ArtifactError: it is missing, not ONNX, truncated, lacks external data, an input or an
                output, or takes inputs nobody knows how to fill.
            OutputError: the optimized model cannot be written.
            UsageError: `threads` is below 1.
        """
        self.path = path
        self.name = name or str(path)
        self.outputs = outputs
        self._session = open_model(
            path,
            name=self.name,
            threads=threads,
            options=options,
            writes=writes,
        )
        kinds = {entry.name: entry.type for entry in self._session.get_inputs()}
        self._types = input_types(self.name, kinds, _INTEGERS)
        self.uses_token_types = TOKEN_TYPE_IDS in self._types
        shapes = {entry.name: entry.shape for entry in self._session.get_outputs()}
        require_outputs(self.name, outputs, shapes)
        # A number there is a count of labels; sequence lengths are names, or nothing.
        self.by_position = tuple(
            len(shapes[name]) > 1 and not isinstance(shapes[name][1], int) for name in outputs
        )

    def run(self, feeds: Mapping[str, NDArray[Any]], stop: StopSignal | None = None) -> Arrays:
        """Run one batch.

        Args:
            feeds: graph input → integers [batch, sequence]; those the graph does not take are left out.
            stop: ends the run from another thread.

        Returns:
            The arrays named by `outputs`.
        """
        taken = {name: np.asarray(feeds[name], kind) for name, kind in self._types.items()}
        found: list[NDArray[Any]] = self._session.run(
            list(self.outputs), taken, stop.options if stop else None
        )
        return tuple(found)

    def end_profile(self) -> Path:
        """Stop tracing and return the file with the trace."""
        return Path(self._session.end_profiling())


def open_model(
    path: Path,
    *,
    name: str,
    threads: int = 1,
    options: SessionOptions | None = None,
    writes: Written = _NO_FILE,
) -> onnxruntime.InferenceSession:
    """Open any model, with the options every session of quantkit has; the arguments are those of `Session`.

    Raises:
        ArtifactError: it is missing, not ONNX, truncated, or lacks external data.
        OutputError: the optimized model cannot be written.
        UsageError: `threads` is below 1.
    """
    if threads < 1:
        raise UsageError(f"{threads} threads cannot run a model; give 1 or more")
    given = options or SessionOptions()
    asked = _options(threads, spinning=given.spinning, writes=writes)
    asked.enable_cpu_mem_arena = given.arena
    if given.optimized:
        asked.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if given.packed:
        asked.add_session_config_entry("session.save_external_prepacked_constant_initializers", "1")
    if given.exact_int8 and saturates_here():
        asked.add_session_config_entry(_UNSIGNED_WEIGHTS, "1")
    return _open(path, name, asked)


def open_part(
    model: Path | bytes, *, threads: int = 1, weights: Path | None = None
) -> onnxruntime.InferenceSession:
    """Open a model, or a part of one in memory, that is looked into and not served; nothing is said on stderr.

    Args:
        model: the ONNX file, or its bytes.
        threads: threads inside one run.
        weights: the folder of the weights that bytes refer to.

    Raises:
        Exception: one of `ONNXRUNTIME_ERRORS`; the caller knows what to say of it.
    """
    options = _options(threads)
    options.log_severity_level = _NOTHING
    if weights is not None:
        options.add_session_config_entry(_WEIGHTS_FOLDER, os.fspath(weights))
    return _start(model, options)


def _options(
    threads: int, *, spinning: bool = False, writes: Written = _NO_FILE
) -> onnxruntime.SessionOptions:
    optimized_model = writes.optimized_model
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    # Threads that spin after the last run would take the cores from whatever is measured or done next.
    options.add_session_config_entry("session.force_spinning_stop", "0" if spinning else "1")
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERRORS_ONLY if optimized_model is None else _NOTHING
    # A pattern is kept for every shape that was ever seen, and memory grows with each. The arena stays: after
    # the longest batch it does not grow again, where plain allocation fragments.
    options.enable_mem_pattern = False
    if optimized_model is not None:
        options.optimized_model_filepath = os.fspath(optimized_model)
        # Weights beside the graph: a graph above 2 GB could not be written otherwise, and is read faster so.
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", f"{optimized_model.name}.data"
        )
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", "1024"
        )
    if writes.trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = os.fspath(writes.trace)
    return options


def _open(path: Path, name: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise ArtifactError(f"{name}: no such model; make the artifact again")
    try:
        session = _start(path, options)
        _read_names(session)
    except ONNXRUNTIME_ERRORS as error:
        if _NOT_WRITTEN in str(error):
            folder = Path(options.optimized_model_filepath).parent
            raise OutputError(
                f"{folder}: onnxruntime cannot write there; free some space, or choose another place with TMPDIR"
            ) from error
        raise ArtifactError(f"{name}: {_reason(error)}") from error
    return session


def _read_names(session: onnxruntime.InferenceSession) -> None:
    """Read every name that a caller may ask for: the binding decodes a name when it is read.

    Raises:
        UnicodeDecodeError: one is not UTF-8.
    """
    for entry in (*session.get_inputs(), *session.get_outputs()):
        _ = entry.name, entry.type, entry.shape


def _start(model: Path | bytes, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    given = model if isinstance(model, bytes) else os.fspath(model)
    # The fallback is the same provider once more, announced on stdout.
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _reason(error: Exception) -> str:
    """Return what to tell the user about a model that onnxruntime does not open."""
    if isinstance(error, UnicodeDecodeError):
        return "has a name that is not UTF-8; make or copy it again"
    said = first_line(error)
    if _SHARED in said:
        return (
            "layers share an int8 weight or its zero point, which onnxruntime cannot make uint8; leave exact_int8 out, "
            "or quantize the model again for --target-isa any"
        )
    if isinstance(error, state.InvalidProtobuf | state.NoModel) or "No graph was found" in said:
        return "is not an ONNX model, or is truncated; make or copy it again"
    if "external" in said.lower():
        return f"its external data is missing or truncated ({said}); copy the whole folder again"
    return f"onnxruntime cannot open it ({said}); make the model again"


def first_line(error: Exception) -> str:
    """Return the telling part of an onnxruntime message: one line, without the status code before it."""
    text = str(error).strip().splitlines()
    line = text[0] if text else type(error).__name__
    return line.rpartition(" : ")[2] if line.startswith("[ONNXRuntimeError]") else line


def input_types(model: str, kinds: Mapping[str, str], integers: Mapping[str, Any]) -> dict[str, Any]:
    """Return graph input → numpy type.

    Args:
        model: what messages call the model.
        kinds: graph input → its type, as the runtime writes it.
        integers: types as the runtime writes them → numpy types; others cannot be fed.

    Raises:
        ArtifactError: an input is missing, unknown, or of another type.
    """
    for name in (INPUT_IDS, ATTENTION_MASK):
        if name not in kinds:
            raise ArtifactError(
                f"{model}: has no input {name!r} (it has {', '.join(kinds) or 'none'}); "
                "export the encoder with `quantkit export`"
            )
    for name, kind in kinds.items():
        if name not in (INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS):
            raise ArtifactError(f"{model}: takes an unknown input {name!r}; export it with `quantkit export`")
        if kind not in integers:
            raise ArtifactError(
                f"{model}: its input {name} is {kind}, not int64; export it with `quantkit export`"
            )
    return {name: integers[kind] for name, kind in kinds.items()}


def require_outputs(model: str, wanted: Collection[str], there: Collection[str]) -> None:
    """Refuse a graph without one of these outputs.

    Raises:
        ArtifactError: one is missing.
    """
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ArtifactError(
            f"{model}: has no output {missing[0]!r} (it has {', '.join(there)}); export the model for the task you want"
        )
