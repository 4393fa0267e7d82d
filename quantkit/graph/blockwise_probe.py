"""Whether MatMulNBits multiplies integers here: asked of onnxruntime, not assumed.

With accuracy_level 4 the operator may round activations to 8 bits, block by block, and add up integer products; where
its library has no such kernel for the block size and the CPU it computes in float, and nothing in a trace tells. So
one block is run in which the two cannot be confused: the first input is 127 and meets the weight 0, all others are
0.3 and meet the weight 127. An 8-bit grid that reaches 127 has steps of 1 (or 0.5, if it were one-sided), and 0.3 is
none of them: every input moves by at least 0.2, all in one direction. In float the output is 0.3 · 127 · (block - 1).
"""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from quantkit.errors import ArtifactError
from quantkit.graph import CONTRIB
from quantkit.runtime.session import open_model

_ROWS, _OUTPUTS = 64, 16
# Rounded outputs differ by 66 % at least (0.3 becomes 0 or 0.5); float ones by 1e-5 at most.
_TOLERANCE = 0.05


@cache
def multiplies_integers(block_size: int, *, zero_points: bool) -> bool:
    """Tell whether MatMulNBits of 8 bits and accuracy_level 4 rounds activations; once a process and block size.

    Args:
        block_size: inputs that share a scale.
        zero_points: the node has zero points rather than the default of 128.
    """
    inputs = np.full((_ROWS, block_size), 0.3, np.float32)
    inputs[:, 0] = 127.0
    with tempfile.TemporaryDirectory(prefix="quantkit-probe-") as folder:
        path = Path(folder) / "probe.onnx"
        onnx.save(_one_block(block_size, zero_points=zero_points), path)
        try:
            found = np.asarray(open_model(path, name="probe of MatMulNBits").run(None, {"x": inputs})[0])
        except ArtifactError:
            # A block size that onnxruntime refuses has no integer kernel either.
            return False
    in_float = 0.3 * 127 * (block_size - 1)
    return bool((np.abs(found - in_float) > _TOLERANCE * in_float).all())


def _one_block(block_size: int, *, zero_points: bool) -> onnx.ModelProto:
    """Return x [rows, block] → y [rows, outputs] with the levels 0, 127, 127, … and the scale 1."""
    levels = np.full((_OUTPUTS, 1, block_size), 128 + 127, np.uint8)
    levels[:, :, 0] = 128
    constants = {"levels": levels, "scales": np.ones((_OUTPUTS, 1), np.float32)}
    if zero_points:
        constants["zero_points"] = np.full((_OUTPUTS, 1), 128, np.uint8)
    node = helper.make_node(
        "MatMulNBits",
        ["x", *constants],
        ["y"],
        domain=CONTRIB,
        name="probe",
        K=block_size,
        N=_OUTPUTS,
        bits=8,
        block_size=block_size,
        accuracy_level=4,
    )
    graph = helper.make_graph(
        [node],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", block_size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", _OUTPUTS])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)
