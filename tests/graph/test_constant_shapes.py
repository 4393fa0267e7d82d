"""Shapes of constants: of what is stored, and of what is computed from nothing else."""

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from quantkit.graph.constant_shapes import ConstantShapes

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]> g (float[b, 8] x) => (float[b, 6] y)
{
    unpacked = DequantizeLinear (packed, scale)
    turned = Transpose <perm = [1, 0]> (unpacked)
    back = Transpose (turned)
    cast = Cast <to = 1> (turned)
    here = Constant <value = float[2, 3] {0, 0, 0, 0, 0, 0}> ()
    sum = Add (unpacked, unpacked)
    of_x = Transpose (x)
    y = MatMul (x, unpacked)
}
"""


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("packed", (8, 6)),
        ("unpacked", (8, 6)),
        ("turned", (6, 8)),
        ("back", (8, 6)),
        ("cast", (6, 8)),
        ("here", (2, 3)),
        ("sum", None),
        ("of_x", None),
        ("x", None),
        ("nowhere", None),
    ],
)
def test_shape(name: str, shape: tuple[int, ...] | None) -> None:
    """Unpacking, casting and transposing keep a constant one; whatever reads an input is none."""
    graph = onnx.parser.parse_model(GRAPH).graph
    graph.initializer.append(numpy_helper.from_array(np.zeros((8, 6), np.int8), "packed"))
    graph.initializer.append(numpy_helper.from_array(np.float32(1), "scale"))
    assert ConstantShapes(graph).shape(name) == shape


def test_a_cycle_ends() -> None:
    """A graph that runs in a circle, which no checker saw yet, has no constant there."""
    node = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [node("Identity", ["a"], ["b"]), node("Identity", ["b"], ["a"])], "g", [], []
    )
    assert ConstantShapes(graph).shape("a") is None
