"""Copies of channels from the layer before: nothing is copied at run time, and every number stays."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.layout.fold_copies import fold_copies

pytestmark = pytest.mark.avx2

COPIES = np.array([2, 2, 2, 5, 9, 9, 23, 0])
COPIED = "picked = Gather <axis = -1> (g, copies) c = Concat <axis = -1> (g, picked)"
SECOND = """
    cq = QuantizeLinear (c, x_scale, x_zero) cd = DequantizeLinear (cq, x_scale, x_zero) y = MatMul (cd, wide)
"""


@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize("gelu", ["gelu", "open_gelu"])
def test_the_layer_before_makes_them(feed_forward: Any, quantized: bool, gelu: str) -> None:
    """Gather and Concat go, the layer has more columns, and the outputs are the same to the last bit."""
    first = feed_forward.quantized if quantized else "f = MatMul (x, wf)"
    model = feed_forward.build(first + getattr(feed_forward, gelu) + COPIED + SECOND, more={"copies": COPIES})
    before = feed_forward.compute(model)
    assert fold_copies(model) == 1
    assert not {"Gather", "Concat"} & {node.op_type for node in model.graph}
    # Columns of a float product may be added in another order.
    np.testing.assert_allclose(feed_forward.compute(model), before, atol=0 if quantized else 1e-5, rtol=0)


@pytest.mark.parametrize(
    ("made", "copied", "more", "outputs"),
    [
        ("gelu", COPIED, "", "float[b, s, w] g"),
        ("g = LayerNormalization <axis = -1> (f, gamma, bias)", COPIED, "", ""),
        ("gelu", COPIED, "z = MatMul (g, w2f)", "float[b, s, w] z"),
        ("gelu", COPIED, "z = MatMul (f, w2f)", "float[b, s, w] z"),
        ("gelu", COPIED.replace("(g, copies)", "(f, copies)"), "", ""),
        ("gelu", COPIED.replace("(g, picked)", "(picked, g)"), "", ""),
    ],
    ids=["output", "norm", "read as it was", "read before", "of another tensor", "copies first"],
)
def test_what_stays(feed_forward: Any, made: str, copied: str, more: str, outputs: str) -> None:
    """Where others read the tensor, no linear layer makes it, or it is no copy, the graph stays as it is."""
    body = feed_forward.quantized + (feed_forward.gelu if made == "gelu" else made) + copied + SECOND + more
    weights = {"copies": COPIES, "w2f": np.ones((24, 4), np.float32)}
    model = feed_forward.build(body, ", ".join(filter(None, ["float[b, s, k] y", outputs])), more=weights)
    before = ir.to_proto(model).SerializeToString()
    assert fold_copies(model) == 0
    assert ir.to_proto(model).SerializeToString() == before
