"""Bias Add + erf Gelu → BiasGelu."""

import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.fusion.elementwise import describe_source, erf_gelu, recognise_activation
from quantkit.graph.fusion.passes import FusionPass
from quantkit.graph.pattern import Stopped, fused_name, is_op, label, replace, split_bias


class BiasGelu(FusionPass):
    """Gelu(x + bias) → com.microsoft.BiasGelu(x, bias): the exact (erf) Gelu, bias a constant [features].

    1. The bias is on either side of the Add; the Gelu is written in any way (see `elementwise`).
    2. Not matched: the sum is read outside the Gelu as well, or there is no bias (the Gelu pass takes that
       one).
    3. Not matched: the nodes around the Erf compute another function.
    """

    name = "BiasGelu"

    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every Erf."""
        return [node for node in graph if is_op(node, "Erf")]

    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse one activation; see the class."""
        gelu = recognise_activation(anchor, erf_gelu)
        split = split_bias(gelu.source)
        if split is None:
            raise Stopped(
                label(gelu.nodes[0]),
                f"its input comes from {describe_source(gelu)}, not from an Add of a bias",
            )
        base, bias, add = split
        readers = set(gelu.source.consumers()) - set(gelu.nodes)
        if readers or gelu.source.is_graph_output():
            others = (
                " and ".join(sorted(f"{node.op_type} {label(node)}" for node in readers))
                or "the graph's output"
            )
            raise Stopped(label(add), f"its output is also used by {others}")
        last = gelu.output.producer()
        assert last is not None
        node = ir.node(self.name, [base, bias], domain=CONTRIB, name=fused_name(anchor, self.name))
        graph.insert_after(last, node)
        replace(graph, gelu.output, node.outputs[0])
