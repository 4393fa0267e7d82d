"""Small edits of a graph that rewrites are made of."""

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from quantkit.graph.pattern import replace


def insert_before(
    graph: ir.Graph,
    anchor: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    *,
    name: str,
    attributes: Mapping[str, int] | None = None,
) -> ir.Node:
    """Insert a node with one output `<name>_output` before `anchor` and return it."""
    node = ir.node(op_type, inputs, attributes=attributes or {}, name=name)
    node.outputs[0].name = f"{name}_output"
    graph.insert_before(anchor, node)
    return node


def add_behind(graph: ir.Graph, node: ir.Node, addend: ir.Value, *, name: str, alone: str) -> None:
    """Add `addend` to the one output of `node`; the sum has the output's name, and that is called `alone` now."""
    output = node.outputs[0]
    add = ir.node("Add", [output, addend], name=name)
    result = add.outputs[0]
    result.type, result.shape, label = output.type, output.shape, output.name
    graph.insert_after(node, add)
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    add.replace_input_with(0, output)
    output.name, result.name = alone, label


def put_in_place(graph: ir.Graph, node: ir.Node, result: ir.Value) -> None:
    """Let `result` stand for the one output of `node`, under its name, and remove the node."""
    replace(graph, node.outputs[0], result)
