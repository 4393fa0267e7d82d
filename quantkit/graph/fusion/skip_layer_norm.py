"""Residual Add + layer normalization → SkipLayerNormalization."""

import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.fusion.layer_norm import layer_norm_anchors, recognise_layer_norm
from quantkit.graph.fusion.passes import FusionPass
from quantkit.graph.pattern import (
    Stopped,
    constant,
    fused_name,
    is_op,
    label,
    operand,
    producer_of,
    replace,
    split_bias,
    vector_length,
)


class SkipLayerNormalization(FusionPass):
    """LayerNorm(x + skip [+ bias]) → com.microsoft.SkipLayerNormalization(x, skip, gamma, beta, bias).

    x and skip are [batch, sequence, hidden]; gamma, beta and bias are constants [hidden].

    1. Both operands of the Add are computed. When one of them is itself `MatMul + bias` that nobody else
       reads, on either side and with the bias on either side, the bias is taken in and the MatMul's result
       becomes x.
    2. Otherwise x and skip are the operands as they are, without bias.
    3. The sum is read by others too (a pre-norm encoder): they read the fused node's fourth output, which is
       the same sum.
    4. Not matched: what is normalized is not an Add; the Add's other operand is a constant; the layer
       normalization is not over the last axis, or its statistics are used.
    5. Not matched: a sum of embeddings, which is one with a table lookup as an operand or with nothing but
       lookups in it. It is no residual connection and belongs to EmbedLayerNormalization, so the number of
       matches is exactly the number of residual connections whether or not that pass matched.
    """

    name = "SkipLayerNormalization"

    def anchors(self, graph: ir.Graph) -> list[ir.Node]:
        """Return every layer normalization."""
        return layer_norm_anchors(graph)

    def fuse(self, graph: ir.Graph, anchor: ir.Node) -> None:
        """Fuse one residual connection; see the class."""
        norm = recognise_layer_norm(anchor)
        add = producer_of(norm.source, norm.nodes[0], "Add")
        first, second = operand(add, 0), operand(add, 1)
        if constant(first) is not None or constant(second) is not None:
            raise Stopped(label(add), "adds a constant, not a residual")
        if _is_lookup(first) or _is_lookup(second) or (_sums_lookups(first) and _sums_lookups(second)):
            raise Stopped(label(add), "adds embedding lookups, which is for EmbedLayerNormalization")
        inputs: list[ir.Value | None] = [first, second, norm.gamma, norm.beta]
        for linear, skip in ((first, second), (second, first)):
            split = split_bias(linear)
            if split is None or linear.is_graph_output() or set(linear.consumers()) != {add}:
                continue
            base, bias, _ = split
            if is_op(base.producer(), "MatMul") and vector_length(bias) == norm.hidden:
                inputs = [base, skip, norm.gamma, norm.beta, bias]
                break
        total = add.outputs[0]
        shared = total.is_graph_output() or not set(total.consumers()) <= set(norm.nodes)
        node = ir.node(
            self.name,
            inputs,
            attributes={"epsilon": norm.epsilon},
            domain=CONTRIB,
            num_outputs=4 if shared else 1,
            name=fused_name(anchor, self.name),
        )
        for unused in node.outputs[1:3]:
            unused.name = ""
        graph.insert_after(add, node)
        replace(graph, norm.output, node.outputs[0])
        if shared:
            replace(graph, total, node.outputs[3])


def _is_lookup(value: ir.Value) -> bool:
    """Tell whether a value is rows of a constant table."""
    node = value.producer()
    table = constant(node.inputs[0]) if node is not None and is_op(node, "Gather") else None
    return table is not None and len(table.shape) == 2


def _sums_lookups(value: ir.Value) -> bool:
    """Tell whether a value is a lookup or a sum of them."""
    node = value.producer()
    if node is not None and is_op(node, "Add"):
        return all(part is not None and _sums_lookups(part) for part in node.inputs)
    return _is_lookup(value)
