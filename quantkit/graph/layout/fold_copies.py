"""Copies of channels made by the layer before."""

import numpy as np
import onnx_ir as ir

from quantkit.graph.channels import private_channels, take
from quantkit.graph.pattern import int_attribute, integers, is_op, replace


def fold_copies(model: ir.Model) -> int:
    """Let the layer before make the copies of split channels; return how many tensors it was done for.

    Concat(x, Gather(x, copies)) along the channels is a pass over x. Between two linear layers the columns of the one
    are repeated instead, with what stands between, and nothing is copied at run time. The same numbers: equal columns
    make equal channels. The layers behind have their rows for the copies already.

    Left as it is: a tensor that others read too, or that no linear layer makes.
    """
    graph = model.graph
    return sum(_fold(graph, node) for node in list(graph) if is_op(node, "Concat"))


def _fold(graph: ir.Graph, concat: ir.Node) -> int:
    source = concat.inputs[0]
    gather = concat.inputs[1].producer() if len(concat.inputs) == 2 and concat.inputs[1] is not None else None
    if source is None or not is_op(gather, "Gather") or gather is None or gather.inputs[0] is not source:
        return 0
    copies = integers(gather.inputs[1])
    along = {int_attribute(node, "axis", 0) for node in (concat, gather)}
    # Who else reads the tensor as it was would read the copies too.
    channels = private_channels(source, [concat, gather])
    if not copies or along != {-1} or channels is None:
        return 0
    order = np.concatenate([np.arange(channels.width), copies])
    take(graph, channels.made, order, suffix="copied")
    for tensor in channels.tensors:
        # What was noted of it was without the copies.
        tensor.shape = None
    replace(graph, concat.outputs[0], source)
    return 1
