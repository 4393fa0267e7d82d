"""Masks that are added to attention scores, and vanish when every token is one to be read.

A graph that was not fused, as OpenVINO likes it, adds 0 to the scores of keys to read and a large negative number to
those of padding. Two steps prove that nothing is lost without the addition:

1. by structure: of what is added, only `attention_mask` is read by value; other inputs through `Shape` only;
2. by value: computed for masks of ones, in several shapes, it is 0 everywhere.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx

from quantkit.errors import ArtifactError
from quantkit.runtime.session import ATTENTION_MASK, ONNXRUNTIME_ERRORS, open_part

_SHAPES = ((1, 5), (3, 8))


def cut_added_masks(model: onnx.ModelProto, folder: Path, name: str) -> int:
    """Let every Softmax read its scores without the mask that is added to them, in place.

    Args:
        model: without its external weights.
        folder: where these are.
        name: what messages call the model.

    Returns:
        How many masks were cut off; 0 when none is added to scores. Nodes that nobody reads any more are gone.

    Raises:
        ArtifactError: what is added is not 0 for masks of ones, or the mask is read by something else too.
    """
    graph = model.graph
    made_by = {output: node for node in graph.node for output in node.output}
    inputs = {entry.name for entry in graph.input} - {entry.name for entry in graph.initializer}
    scores_of: dict[str, str] = {}
    masks: set[str] = set()
    for softmax in (node for node in graph.node if node.op_type == "Softmax"):
        add = made_by.get(softmax.input[0])
        if add is None or add.op_type != "Add":
            continue
        reached = [_read_by_value(operand, made_by, inputs) for operand in add.input]
        if {ATTENTION_MASK} in reached:
            place = reached.index({ATTENTION_MASK})
            masks.add(add.input[place])
            scores_of[softmax.input[0]] = add.input[1 - place]
    if not masks:
        return 0
    _require_zeros(model, sorted(masks), folder, name)
    for node in graph.node:
        if node.op_type == "Softmax":
            node.input[0] = scores_of.get(node.input[0], node.input[0])
    for entry in graph.output:
        if ATTENTION_MASK in _read_by_value(entry.name, made_by, inputs):
            raise ArtifactError(
                f"{name}: cannot do without {ATTENTION_MASK}: more than attention scores is made of it; "
                "do not ask for equal lengths"
            )
    _remove_unread(graph)
    return len(scores_of)


def _read_by_value(value: str, made_by: Mapping[str, onnx.NodeProto], inputs: Iterable[str]) -> set[str]:
    """Return the graph inputs that a value depends on by more than their shape."""
    found, seen, waiting = set(), set(), [value]
    known = set(inputs)
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in known:
            found.add(current)
        node = made_by.get(current)
        if node is not None and node.op_type != "Shape":
            waiting += node.input
    return found


def _require_zeros(model: onnx.ModelProto, masks: list[str], folder: Path, name: str) -> None:
    """Compute what is added, for masks of ones.

    Raises:
        ArtifactError: it cannot be computed, or is not 0.
    """
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:]
    part.graph.output.extend(onnx.ValueInfoProto(name=mask) for mask in masks)
    try:
        session = open_part(part.SerializeToString(), weights=folder)
        for shape in _SHAPES:
            feeds = {entry.name: np.zeros(shape, np.int64) for entry in session.get_inputs()}
            feeds[ATTENTION_MASK] = np.ones(shape, np.int64)
            if any(np.any(found) for found in session.run(masks, feeds)):
                raise ArtifactError(
                    f"{name}: cannot do without {ATTENTION_MASK}: {masks[0]} is not 0 where all tokens are to be read; "
                    "do not ask for equal lengths"
                )
    except ONNXRUNTIME_ERRORS as error:
        raise ArtifactError(
            f"{name}: what masks its attention cannot be computed ({str(error).splitlines()[0]}); "
            "fuse the model with `quantkit fuse`, or do not ask for equal lengths"
        ) from error


def _remove_unread(graph: onnx.GraphProto) -> None:
    """Remove nodes that nobody reads, and weights with them."""
    wanted = {entry.name for entry in graph.output}
    kept = []
    # Nodes of a valid graph are in order: readers come behind.
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    weights = [entry for entry in graph.initializer if entry.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(weights)
