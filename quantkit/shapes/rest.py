"""Rest: a graph cut at the residual stream that a block reads."""

import onnx_ir as ir
import onnx_ir.passes.common as passes

from quantkit.graph.linear import linear_layers
from quantkit.runtime.session import ATTENTION_MASK
from quantkit.shapes.blocks import Block


def stream_of(model: ir.Model, block: Block) -> str:
    """Return the name of the tensor that a block reads, in the fused float graph and in those made from it."""
    layers = {layer.name: layer for layer in linear_layers(model.graph)}
    return layers[block.readers[0]].activation.name or ""


def begin_at(model: ir.Model, name: str, hidden: int) -> bool:
    """Make a graph begin at a residual stream, which becomes an input under its own name, in place.

    Args:
        model: the graph.
        name: of the stream.
        hidden: its width.

    Returns:
        Whether the rest reads nothing but the stream and the mask; where it does, the graph is as it was.
    """
    before = list(model.graph.inputs)
    found = value_named(model, name)
    if found is None:
        return False
    stream = ir.val(name, ir.DataType.FLOAT, ir.Shape(["batch", "sequence", hidden]))
    readers = tuple(found.uses())
    found.replace_all_uses_with(stream)
    if {value.name for value in before if _reaches(model, value)} <= {ATTENTION_MASK}:
        passes.RemoveUnusedNodesPass()(model)
        model.graph.inputs[:] = [stream, *(value for value in before if value.uses())]
        return True
    for use in readers:
        use.node.replace_input_with(use.idx, found)
    return False


def value_named(model: ir.Model, name: str) -> ir.Value | None:
    """Return what a node of the graph makes under a name; None when none does."""
    return next((value for node in model.graph for value in node.outputs if value.name == name), None)


def _reaches(model: ir.Model, source: ir.Value) -> bool:
    """Tell whether an output depends on a value."""
    outputs = set(model.graph.outputs)
    seen, waiting = set[ir.Value](), [source]
    while waiting:
        value = waiting.pop()
        if value in outputs:
            return True
        if value in seen:
            continue
        seen.add(value)
        waiting += [made for use in value.uses() for made in use.node.outputs]
    return False
