"""Outlier channels moved to the front of their tensor, where a slice takes them."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from quantkit.graph.channels import find_channels, take
from quantkit.graph.constants import add_initializer
from quantkit.graph.pairs import keeps_pair_limit
from quantkit.graph.pattern import int_attribute, integers, is_op, replace, vector_length


def slice_outliers(model: ir.Model) -> int:
    """Take the channels of a Gather with a Slice, where they can be put in front; return how many it was done for.

    Gather picks channels out of the middle one number at a time, and reads a line of the cache for each. Between two
    linear layers the order of channels is free: the columns of the one, what stands between, and the rows of the other
    are put in another order, with the picked channels in front. The same numbers, and integer sums do not feel it.

    1. What is picked is a constant list of channels, and everything between the layers computes each by itself.
    2. Left as it is: the output of a normalization or an attention, whose channels others read in their order, and a
       layer before whose weight is not a float or QDQ constant.
    3. Integer weights behind that keep the pair limit still do (`quantkit.graph.pairs`). Where that order would bring
       strangers together, each picked channel, whose row there is zero, gets another for a neighbour, and the Slice
       takes every other channel. Where that does not help either, nothing is done.
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
    weights = [array for place in channels.read if (array := place.array()).dtype == np.int8]
    exact = [weight for weight in weights if keeps_pair_limit(weight)]
    orders = _orders(np.asarray(picked), channels.width)
    fitting = (
        (step, order) for step, order in orders if all(keeps_pair_limit(weight[order]) for weight in exact)
    )
    step, order = next(fitting, (0, None))
    if order is None:
        return 0
    take(graph, [*channels.made, *channels.read], order, suffix="outliers_first")
    numbers = {"begin": 0, "end": step * len(picked), "axis": -1} | ({"step": step} if step > 1 else {})
    bounds = [
        add_initializer(graph, f"{gather.name}.{name}", np.array([number]))
        for name, number in numbers.items()
    ]
    node = ir.node("Slice", [source, *bounds], name=gather.name)
    graph.insert_before(gather, node)
    replace(graph, gather.outputs[0], node.outputs[0])
    return 1


def _orders(picked: np.ndarray, width: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield orders of the channels, and which of the first ones are the picked: every one, or every other."""
    rest = np.setdiff1d(np.arange(width), picked)
    yield 1, np.concatenate([picked, rest])
    together = np.isin(rest ^ 1, rest)
    # Pairs of others stay pairs. A picked channel keeps its neighbour, or gets one of another pair.
    pairs, lonely = list(rest[together]), set(rest[~together])
    order: list[int] = []
    for channel in picked:
        if channel ^ 1 in lonely:
            neighbour = channel ^ 1
            lonely.remove(neighbour)
        elif pairs:
            neighbour = pairs.pop()
        else:
            return
        order += [channel, neighbour]
    yield 2, np.array([*order, *pairs, *sorted(lonely)])
