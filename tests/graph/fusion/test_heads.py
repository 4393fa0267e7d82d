"""Heads: what lies between two nodes, however many ways lead there."""

import onnx_ir as ir

from quantkit.graph.fusion.heads import _on_the_way


def test_every_node_on_the_way_is_met_once() -> None:
    """Residual sums double the ways with each layer: sixty of them are walked all the same."""
    hidden = ir.val("hidden")
    transpose = ir.node("Transpose", [hidden], name="transpose")
    start = ir.node("Identity", [hidden], name="start")
    value = start.outputs[0]
    for _ in range(60):
        value = ir.node("Add", [value, value]).outputs[0]
    beside = ir.node("Shape", [value], name="beside")
    shape = ir.node("Shape", [transpose.outputs[0]], name="shape")
    target = ir.node("Concat", [shape.outputs[0], beside.outputs[0]], attributes={"axis": 0}, name="target")
    found = _on_the_way(target.outputs[0], transpose)
    assert [node.name for node in found] == ["shape", "target"]
