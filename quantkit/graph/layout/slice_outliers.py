"""Outlier channels moved to the front of their tensor, where a slice takes them."""

import numpy as np
import onnx_ir as ir

from quantkit.graph.channels import find_channels, take
from quantkit.graph.constants import add_initializer
from quantkit.graph.pattern import int_attribute, integers, is_op, replace, vector_length


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
    if not is_op(node, "Gather") or int_attribute(node, "axis", 0) != -1 or not vector_length(node.inputs[1]):
        return False
    picked = integers(node.inputs[1]) or []
    return min(picked) >= 0 and len(set(picked)) == len(picked)


def _slice(graph: ir.Graph, gather: ir.Node) -> int:
    source, picked = gather.inputs[0], integers(gather.inputs[1])
    assert source is not None
    assert picked is not None
    channels = find_channels(source, apart=[gather])
    if channels is None:
        return 0
    order = np.concatenate([picked, np.setdiff1d(np.arange(channels.width), picked)])
    take(graph, [*channels.made, *channels.read], order, suffix="outliers_first")
    bounds = [
        add_initializer(graph, f"{gather.name}.{name}", np.array([number]))
        for name, number in (("begin", 0), ("end", len(picked)), ("axis", -1))
    ]
    node = ir.node("Slice", [source, *bounds], name=gather.name)
    graph.insert_before(gather, node)
    replace(graph, gather.outputs[0], node.outputs[0])
    return 1
