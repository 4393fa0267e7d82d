"""Outlier channels moved to the front of their tensor, where a slice takes them."""

import numpy as np
import onnx_ir as ir

from quantkit.graph.channels import find_channels, new_constant, take
from quantkit.graph.fusion.pattern import integers, is_op


def slice_outliers(model: ir.Model) -> int:
    """Take the channels of a Gather with a Slice, where they can be put in front; return how many it was done for.

    Gather picks channels out of the middle one number at a time, and reads a line of the cache for each. Between two
    linear layers the order of channels is free: the columns of the one, what stands between, and the rows of the other
    are put in another order, with the picked channels in front. The same numbers, and integer sums do not feel it.

    1. What is picked is a constant list of channels, and everything between the layers computes each by itself.
    2. Left as it is: the output of a normalization or an attention, whose channels others read in their order, and a
       layer before whose weight is not a float or QDQ constant.
    """
    graph = model.graph
    return sum(_slice(graph, node) for node in list(graph) if _picks_channels(node))


def _picks_channels(node: ir.Node) -> bool:
    if not is_op(node, "Gather") or integers(node.inputs[1]) is None:
        return False
    return "axis" in node.attributes and node.attributes["axis"].as_int() == -1


def _slice(graph: ir.Graph, gather: ir.Node) -> int:
    source, picked = gather.inputs[0], integers(gather.inputs[1])
    assert source is not None
    assert picked is not None
    channels = find_channels(source, apart=[gather])
    if channels is None or len(set(picked)) != len(picked):
        return 0
    order = np.concatenate([picked, np.setdiff1d(np.arange(channels.width), picked)])
    take(graph, [*channels.made, *channels.read], order, suffix="outliers_first")
    bounds = [
        new_constant(graph, f"{gather.name}.{name}", np.array([number]))
        for name, number in (("begin", 0), ("end", len(picked)), ("axis", -1))
    ]
    node = ir.node("Slice", [source, *bounds], name=gather.name)
    graph.insert_before(gather, node)
    output = gather.outputs[0]
    result = node.outputs[0]
    result.type, result.shape, label = output.type, output.shape, output.name
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    graph.remove(gather, safe=True)
    result.name = label
    return 1
