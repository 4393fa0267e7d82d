"""BiasGelu behind an integer product → Gelu."""

import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.layout.fold_biases import move_gelu_bias
from quantkit.graph.pattern import replace


def open_gelus(model: ir.Model) -> int:
    """Move the bias of every BiasGelu behind an integer product into the product; return how many were moved.

    com.microsoft.BiasGelu(product, bias) → Gelu(product + bias): onnxruntime 1.32 computes Gelu in two thirds of the
    time, and the product adds the bias while it turns integers into floats. A BiasGelu behind anything else stays:
    onnxruntime would make one of Add and Gelu again.
    """
    graph = model.graph
    nodes = [node for node in graph if node.op_type == "BiasGelu" and node.domain == CONTRIB]
    found = 0
    for node in nodes:
        if move_gelu_bias(node):
            gelu = ir.node("Gelu", [node.inputs[0]], domain=CONTRIB, name=node.name)
            node.name = f"{node.name}/biased"
            graph.insert_before(node, gelu)
            replace(graph, node.outputs[0], gelu.outputs[0])
            found += 1
    return found
