"""Snippet: a piece of a graph, as a model of its own, whose latency is asked for."""

from collections.abc import Mapping
from typing import Any, Protocol

import onnx
import onnx_ir as ir

BATCH, SEQUENCE = "batch", "sequence"
"""Names of the dimensions that a snippet's inputs have beside fixed ones: how many rows, and tokens of each."""


class Snippet(Protocol):
    """A value (hashable, equal to its like) that names one piece of a graph and can build it.

    Its text (`str`) is what messages call it.
    """

    def __hash__(self) -> int:
        """Return the same for equal ones."""

    def describe(self) -> Mapping[str, Any]:
        """Return, as plain JSON, all that the time depends on; what is described alike is measured once."""

    def build(self) -> ir.Model:
        """Return the model.

        Its inputs are float32, or int64 and then ids and masks, their dimensions fixed, `BATCH` or `SEQUENCE`; its
        outputs are float32.
        """

    def check(self, executed: onnx.GraphProto) -> None:
        """Check that a graph, as onnxruntime executes it, is what was asked for.

        Raises:
            QuantizationError: onnxruntime makes something else of it.
        """
