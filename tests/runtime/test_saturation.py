"""Saturation: which weight grids this CPU's integer kernels sum exactly, and what happens to the others."""

import numpy as np
import onnx.parser
import onnxruntime
import pytest

from quantkit.quantization.grids import GRIDS

pytestmark = pytest.mark.avx2

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
product (uint8[rows, inputs] x, {kind}[inputs, outputs] w, uint8 x_zero, {kind} w_zero) => (int32[rows, outputs] y)
{{ y = MatMulInteger (x, w, x_zero, w_zero) }}
"""


def factors(weight_type: str, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return large activations and weights of all levels, as signed numbers."""
    random, limit = np.random.default_rng(inputs), GRIDS[weight_type].limit
    return random.integers(200, 256, (5, inputs)), random.integers(-limit, limit + 1, (inputs, 16))


def multiplied(x: np.ndarray, levels: np.ndarray, weight_type: str) -> np.ndarray:
    """Return the product as onnxruntime's integer kernel computes it."""
    grid = GRIDS[weight_type]
    weight = grid.encode(levels, np.float32(1))
    model = onnx.parser.parse_model(GRAPH.format(kind=grid.stored))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {
        "x": x.astype(np.uint8),
        "w": weight.values,
        "x_zero": np.array(0, np.uint8),
        "w_zero": np.array(weight.zero_point, weight.values.dtype),
    }
    return np.asarray(session.run(None, feeds)[0])


@pytest.mark.parametrize("inputs", [2, 63, 64, 384])
def test_exact_grids_are_exact(weight_type: str, inputs: int) -> None:
    """With the largest activations sums over a grid that counts as exact are those of 64-bit integers."""
    x, levels = factors(weight_type, inputs)
    np.testing.assert_array_equal(multiplied(x, levels, weight_type), x @ levels)


def test_pairs_saturate(exact_grids: frozenset[str]) -> None:
    """Without VNNI products of inputs 2i and 2i + 1 are added in 16 bits, and pairs in 32: int8 sums are clipped."""
    if "int8" in exact_grids:
        pytest.skip("this CPU sums int8 products exactly")
    x, levels = factors("int8", 64)
    pairs = (x[:, :, None] * levels).reshape(len(x), 32, 2, -1).sum(axis=2)
    limits = np.iinfo(np.int16)
    found = multiplied(x, levels, "int8")
    np.testing.assert_array_equal(found, np.clip(pairs, limits.min, limits.max).sum(axis=1))
    assert (found != x @ levels).any()
