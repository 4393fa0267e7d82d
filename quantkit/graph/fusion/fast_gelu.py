"""Tanh Gelu, with or without a bias Add → FastGelu."""

import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.fusion.elementwise import recognise_activation, tanh_gelu
from quantkit.graph.fusion.passes import FusionPass
from quantkit.graph.pattern import fused_name, is_op, replace, split_bias


class FastGelu(FusionPass):
    """Gelu in its tanh form ("gelu_new", "gelu_fast", "gelu_pytorch_tanh") → com.microsoft.FastGelu(x, bias).

    1. x is `base + bias` with a constant bias [features] that nobody else reads: the bias is taken in.
    2. Otherwise FastGelu(x).
    3. A Tanh that is no part of a product (a pooler's) is not an anchor.
    4. Not matched: the nodes around the Tanh compute another function.
    """

    name = "FastGelu"

    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every Tanh that is added to something."""
        return [
            node
            for node in graph
            if is_op(node, "Tanh") and any(is_op(reader, "Add") for reader in node.outputs[0].consumers())
        ]

    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse one activation; see the class."""
        gelu = recognise_activation(anchor, tanh_gelu)
        inputs = [gelu.source]
        split = split_bias(gelu.source)
        if (
            split is not None
            and set(gelu.source.consumers()) <= set(gelu.nodes)
            and not gelu.source.is_graph_output()
        ):
            inputs = [split[0], split[1]]
        last = gelu.output.producer()
        assert last is not None
        node = ir.node(self.name, inputs, domain=CONTRIB, name=fused_name(anchor, self.name))
        graph.insert_after(last, node)
        replace(graph, gelu.output, node.outputs[0])
