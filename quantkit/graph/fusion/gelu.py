"""Erf Gelu without a bias of its own → Gelu."""

import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.fusion.elementwise import erf_gelu, recognise_activation
from quantkit.graph.fusion.passes import FusionPass
from quantkit.graph.pattern import fused_name, is_op, replace


class Gelu(FusionPass):
    """Gelu(x) → com.microsoft.Gelu(x), the exact (erf) Gelu, where BiasGelu did not match.

    1. x is anything: the result of a Gemm, which adds its bias itself (the classification head of ELECTRA),
       or a sum that is read elsewhere.
    2. Not matched: the nodes around the Erf compute another function.
    """

    name = "Gelu"

    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every Erf that is left."""
        return [node for node in graph if is_op(node, "Erf")]

    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse one activation; see the class."""
        gelu = recognise_activation(anchor, erf_gelu)
        last = gelu.output.producer()
        assert last is not None
        node = ir.node(self.name, [gelu.source], domain=CONTRIB, name=fused_name(anchor, self.name))
        graph.insert_after(last, node)
        replace(graph, gelu.output, node.outputs[0])
