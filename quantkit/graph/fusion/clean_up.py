"""What fusing leaves behind: dead nodes, unused weights, opset imports."""

import onnx_ir as ir
import onnx_ir.passes.common as onnx_passes

from quantkit.graph import CONTRIB
from quantkit.graph.fusion.passes import PassResult


class CleanUp:
    """Leave a graph that holds what it needs and imports what it uses.

    1. Nodes whose results nobody needs and initializers nobody reads are removed; `matched` counts both.
    2. The graph imports com.microsoft version 1 when, and only when, a node of it is there. The ONNX opset
       and the IR version stay as they were.
    3. Nodes are in topological order.
    """

    name = "CleanUp"

    def __call__(self, model: ir.Model) -> PassResult:
        """Clean up; see the class."""
        before = len(model.graph) + len(model.graph.initializers)
        onnx_passes.RemoveUnusedNodesPass()(model)
        if any(node.domain == CONTRIB for node in model.graph):
            model.opset_imports.setdefault(CONTRIB, 1)
        else:
            model.opset_imports.pop(CONTRIB, None)
        model.graph.sort()
        return PassResult(name=self.name, matched=before - len(model.graph) - len(model.graph.initializers))
