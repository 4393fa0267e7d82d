"""The runtimes that can run a graph. Each is a class with the face of `Running`, and a line in `tables.RUNTIMES`.

Imported by the processes of the engine: nothing heavy belongs here.
"""

import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from quantkit.errors import QuantkitError, UsageError
from quantkit.runtime.session import (
    ONNXRUNTIME_ERRORS,
    Arrays,
    SessionOptions,
    StopSignal,
    first_line,
)
from quantkit.tables import RUNTIMES

Reduction = Callable[[Mapping[str, NDArray[Any]], Arrays], Arrays]
"""What is made of a batch where it ran, from its inputs and its outputs: what it returns is the answer.

An array for each output, with a row for each row of the batch, and nothing by position.
"""


class Running(Protocol):
    """A model, ready to run: `quantkit.runtime.session.Session`, or one of another runtime."""

    @property
    def name(self) -> str:
        """What messages call the model."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the arrays that `run` returns."""

    @property
    def by_position(self) -> tuple[bool, ...]:
        """For each output, whether its second dimension is the sequence (and not the labels)."""

    def run(self, feeds: Mapping[str, NDArray[Any]], stop: StopSignal | None = None) -> Arrays:
        """Run one batch.

        Raises:
            Exception: one of `ONNXRUNTIME_ERRORS`: it cannot be run.
        """


class OpenSession(Protocol):
    """Opens a model; the arguments are those of `open_session`."""

    def __call__(  # noqa: D102
        self, path: Path, *, outputs: tuple[str, ...], threads: int, options: SessionOptions, name: str | None
    ) -> Running: ...


def open_session(
    runtime: str,
    path: Path,
    *,
    outputs: tuple[str, ...],
    threads: int = 1,
    options: SessionOptions | None = None,
    name: str | None = None,
) -> Running:
    """Open a model in a runtime.

    Raises:
        UsageError: there is no such runtime, or its library is not installed.
        ArtifactError: the model cannot be opened.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime {runtime}: there is no such runtime; choose {', '.join(RUNTIMES)}")
    opened: OpenSession = RUNTIMES.load(runtime)
    return opened(path, outputs=outputs, threads=threads, options=options or SessionOptions(), name=name)


def told(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a batch far from whoever wants it, and return what came of it, in words when it failed.

    Args:
        run: returns the answer: what it has, and as `ran` the seconds inside the runtime.

    Returns:
        Its answer; or `refused` with the runtime's reason, `mistake` with the class and text of a `QuantkitError`, or
        `broken` with the traceback of anything else, each with `ran`.
    """
    started = time.perf_counter()
    try:
        return run()
    except ONNXRUNTIME_ERRORS as error:
        return {"refused": first_line(error), "ran": time.perf_counter() - started}
    except QuantkitError as error:
        return {"mistake": [type(error).__name__, str(error)], "ran": 0.0}
    except Exception:  # noqa: BLE001 - told to the other side as it is, which raises it
        return {"broken": traceback.format_exc(), "ran": 0.0}
