"""Proves that what is added to attention scores can be given to a fused kernel as it is: its `attention_bias`.

A kernel adds it to the scores of every head, or of each head its own; the shape is [batch or 1, heads or 1, sequence,
sequence]. Two kinds are told apart from the key padding mask (`padding_mask`), by structure and by running that part
of the graph alone:

1. a bias of positions (MPNet): no graph input can change its values;
2. a mask that hides padding and more, such as what is out of a window (ModernBERT): it is computed of `attention_mask`
   alone, holds nothing but 0 and large negative numbers, lets no query see padding, and every query that is no padding
   itself.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from quantkit.graph.fusion.padding_mask import HIDDEN, PROBES, ancestors, cut_out, feeds, inputs_by_value
from quantkit.graph.pattern import Stopped, is_op, label, operand
from quantkit.runtime.session import ATTENTION_MASK, ONNXRUNTIME_ERRORS, first_line


def is_of_positions(value: ir.Value) -> bool:
    """Tell whether no graph input can change the values of what is added, only their number."""
    return not inputs_by_value(value)


def require_position_bias(graph: ir.Graph, value: ir.Value, heads: int, reader: ir.Node) -> ir.Value:
    """Return the bias of positions that `value` is, without the copies of it that a batch was given.

    Raises:
        Stopped: at `reader`, when a kernel cannot take it.
    """
    expand = value.producer()
    once = operand(expand, 0) if expand is not None and is_op(expand, "Expand") else value
    try:
        found = _computed(graph, once)
    except ONNXRUNTIME_ERRORS as error:
        reason = f"the bias {value.name} cannot be computed alone ({first_line(error)})"
        raise Stopped(label(reader), reason) from None
    for probe, computed in zip(PROBES, found, strict=True):
        if _shape(computed, probe, heads) is None:
            raise Stopped(label(reader), f"the bias {value.name} is not [batch, heads, sequence, sequence]")
    return once


def hides_more(graph: ir.Graph, value: ir.Value) -> bool:
    """Tell whether a mask hides the keys whose `attention_mask` is 0, and others too."""
    if [entry.name for entry in inputs_by_value(value)] != [ATTENTION_MASK]:
        return False
    try:
        found = _computed(graph, value)
    except ONNXRUNTIME_ERRORS:
        return False
    return all(
        _shape(computed, probe, 1) is not None and _hides_padding(computed, probe)
        for probe, computed in zip(PROBES, found, strict=True)
    )


def _computed(graph: ir.Graph, value: ir.Value) -> list[npt.NDArray[Any]]:
    session = cut_out(graph, value, ancestors(value))
    return [session.run(None, feeds(session, probe))[0] for probe in PROBES]


def _shape(computed: npt.NDArray[Any], probe: npt.NDArray[np.int64], heads: int) -> tuple[int, ...] | None:
    batch, sequence = probe.shape
    fits = computed.ndim == 4 and computed.dtype == np.float32 and computed.shape[2:] == (sequence, sequence)
    fits = fits and computed.shape[0] in (1, batch) and computed.shape[1] in (1, heads)
    return computed.shape if fits else None


def _hides_padding(computed: npt.NDArray[Any], probe: npt.NDArray[np.int64]) -> bool:
    attended = probe[:, None, None, :] != 0
    hidden = computed <= HIDDEN
    own = np.diagonal(np.broadcast_to(hidden, (len(probe), 1, *computed.shape[2:])), axis1=2, axis2=3)[:, 0]
    return bool(
        np.all(hidden | (computed == 0)) and np.all(hidden | attended) and not np.any(own & (probe != 0))
    )
