"""Proves that what masks attention scores is the key padding mask of `attention_mask`, and nothing else.

A fused kernel takes the mask as it came in, int [batch, sequence], and derives the rest. The graph between
`attention_mask` and the scores may therefore be dropped only if it means the same. Two steps prove it:

1. by structure: walking back from the mask operand, the only graph input reached is `attention_mask`; other
   inputs are reached through `Shape` only, so their values cannot matter;
2. by value: that part of the graph is cut out and run on masks of every kind (all ones, right-padded,
   left-padded, with holes; two batch sizes and lengths, and one that is longer than any window that a constant
   of it can mean). The result must hide exactly the keys whose mask is 0, from every query of every head: 0 or
   True where the key is attended, at most `HIDDEN` (or the filling branch) where it is not.

A causal mask, a distance bias, a mask of the queries, or one that depends on segments fails one of the two.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import onnxruntime

from quantkit.graph.pattern import Stopped, int_attribute, is_op, label, scalar
from quantkit.runtime.session import ATTENTION_MASK, ONNXRUNTIME_ERRORS, first_line, open_part

# exp(-10000 + x) is 0 in float32 for every score x below 9896: what the field calls minus infinity is at most
# this.
HIDDEN = -1e4
# Rows kept of a lookup table in the cut-out graph: it is run on token 0 and fewer positions than this.
_ROWS = 64
# Longer rows are not tried: scores of one such row take 64 MB.
_WIDEST = 4096

PROBES: tuple[npt.NDArray[np.int64], ...] = (
    np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 1, 0, 0, 1]]),
    np.array([[1, 1, 0, 1, 1, 1, 0, 0]]),
)

# How the operand acts: added to the scores, or a condition that keeps (or fills) them.
MaskForm = Literal["added", "kept where true", "filled where true"]


def require_padding_mask(graph: ir.Graph, mask: ir.Value, form: MaskForm, reader: ir.Node) -> ir.Value:
    """Return the graph input `attention_mask`, having proven that `mask` is its key padding mask.

    Raises:
        Stopped: at `reader`, when it is not, with what it is instead.
    """
    nodes = ancestors(mask)
    reached = inputs_by_value(mask)
    others = sorted(str(value.name) for value in reached if value.name != ATTENTION_MASK)
    if others:
        raise Stopped(
            label(reader),
            f"the mask {mask.name} depends on {' and '.join(others)}, not on {ATTENTION_MASK} alone",
        )
    source = next((value for value in reached if value.name == ATTENTION_MASK), None)
    if source is None:
        raise Stopped(label(reader), f"the mask {mask.name} does not depend on {ATTENTION_MASK}")
    try:
        session = cut_out(graph, mask, nodes)
        probes = (*PROBES, *beyond_windows(mask))
        results = [session.run(None, feeds(session, probe))[0] for probe in probes]
    except ONNXRUNTIME_ERRORS as error:
        reason = f"the mask {mask.name} cannot be computed alone ({first_line(error)})"
        raise Stopped(label(reader), reason) from None
    for probe, computed in zip(probes, results, strict=True):
        if not _hides(computed, probe, form):
            raise Stopped(
                label(reader),
                f"the mask {mask.name} does not hide exactly the keys whose {ATTENTION_MASK} is 0",
            )
    return source


def beyond_windows(mask: ir.Value) -> tuple[npt.NDArray[np.int64], ...]:
    """Return one row of mask, longer than any number that `mask` is computed with: a window would hide keys of it."""
    sizes = [abs(number) for value in _read_by_value(mask) if (number := scalar(value)) is not None]
    widest = max((int(size) for size in sizes if size <= _WIDEST), default=0)
    if widest < max(probe.shape[1] for probe in PROBES):
        return ()
    row = np.ones((1, widest + 2), np.int64)
    row[0, -1] = 0
    return (row,)


def _hides(computed: npt.NDArray[Any], probe: npt.NDArray[np.int64], form: MaskForm) -> bool:
    batch, sequence = probe.shape
    try:
        full = np.broadcast_to(computed, (batch, 1, sequence, sequence))
    except ValueError:
        return False
    attended = np.broadcast_to(probe[:, None, None, :] != 0, full.shape)
    if form == "added":
        return bool(np.all(full[attended] == 0) and np.all(full[~attended] <= HIDDEN))
    keeps = full.astype(bool) if form == "kept where true" else ~full.astype(bool)
    return bool(np.array_equal(keeps, attended))


def inputs_by_value(value: ir.Value) -> set[ir.Value]:
    """Return the graph inputs whose values (not only shapes) can change `value`."""
    return {part for part in _read_by_value(value) if part.producer() is None and part.is_graph_input()}


def _read_by_value(value: ir.Value) -> set[ir.Value]:
    """Return every value that can change `value` by more than its shape, itself included."""
    seen: set[ir.Value] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        node = current.producer()
        if node is not None and not is_op(node, "Shape"):
            waiting.extend(part for part in node.inputs if part is not None)
    return seen


def ancestors(value: ir.Value) -> set[ir.Node]:
    """Return every node that `value` is computed by, shapes included."""
    found: set[ir.Node] = set()
    waiting = [value]
    while waiting:
        node = waiting.pop().producer()
        if node is not None and node not in found:
            found.add(node)
            waiting.extend(part for part in node.inputs if part is not None)
    return found


def cut_out(graph: ir.Graph, mask: ir.Value, nodes: set[ir.Node]) -> onnxruntime.InferenceSession:
    """Return a session that computes `mask` from the graph's inputs; tables are cut to `_ROWS` rows."""
    read = {value for node in nodes for value in node.inputs if value is not None}
    inputs = [value for value in graph.inputs if value in read]
    view = ir.GraphView(
        inputs,
        [mask],
        nodes=[node for node in graph if node in nodes],
        initializers=[value for value in graph.initializers.values() if value in read],
        opset_imports=dict(graph.opset_imports),
        name="mask",
    )
    part = view.clone()
    for weight in part.initializers.values():
        assert weight.const_value is not None
        # Weights kept in another file cannot be found from a model in memory: they are read here.
        array = weight.const_value.numpy()
        if array.ndim == 2 and _is_table(weight):
            array = array[:_ROWS]
        weight.const_value = ir.Tensor(np.array(array), name=weight.name)
        weight.shape = weight.const_value.shape
    model = ir.Model(part, ir_version=8)
    return open_part(ir.to_proto(model).SerializeToString())


def _is_table(value: ir.Value) -> bool:
    """Tell whether an initializer is only read as a table of rows."""
    return all(
        is_op(use.node, "Gather") and use.idx == 0 and int_attribute(use.node, "axis", 0) == 0
        for use in value.uses()
    )


def feeds(
    session: onnxruntime.InferenceSession, probe: npt.NDArray[np.int64]
) -> Mapping[str, npt.NDArray[Any]]:
    """Return what a session of a cut-out part takes for a mask [batch, sequence]; other inputs are 0."""
    types: dict[str, type[np.generic]] = {
        "tensor(int64)": np.int64,
        "tensor(int32)": np.int32,
        "tensor(float)": np.float32,
        "tensor(bool)": np.bool_,
    }
    found: dict[str, npt.NDArray[Any]] = {}
    for entry in session.get_inputs():
        content = probe if entry.name == ATTENTION_MASK else np.zeros_like(probe)
        found[entry.name] = content.astype(types.get(entry.type, np.int64))
    return found
