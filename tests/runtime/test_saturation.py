"""Saturation: which weight grids this CPU's integer kernels sum exactly, and what happens to the others."""

import numpy as np
import onnx.numpy_helper
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


def factors(weight_type: str, inputs: int, rows: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return large activations, a row of them the largest, and weights of all levels, as signed numbers."""
    random, grid = np.random.default_rng(inputs), GRIDS[weight_type]
    x = random.integers(200, 256, (rows, inputs))
    x[-1] = 255
    levels = random.integers(-grid.limit, grid.limit + 1, (inputs, 16))
    # Columns whose every pair is the largest: for a pair limit (127, 1) and (64, 64).
    levels[:, 0], levels[:, 1], levels[:, 2] = grid.limit, -grid.limit, grid.limit // 2 + 1
    return x, grid.nearest(levels).astype(int)


def multiplied(x: np.ndarray, levels: np.ndarray, weight_type: str, *, constant: bool = False) -> np.ndarray:
    """Return the product as onnxruntime's integer kernel computes it; a constant weight is packed beforehand."""
    grid = GRIDS[weight_type]
    weight = grid.encode(levels, np.float32(1))
    model = onnx.parser.parse_model(GRAPH.format(kind=grid.stored))
    feeds = {
        "x": x.astype(np.uint8),
        "w": weight.values,
        "x_zero": np.array(0, np.uint8),
        "w_zero": np.array(weight.zero_point, weight.values.dtype),
    }
    if constant:
        model.graph.initializer.extend(
            onnx.numpy_helper.from_array(feeds.pop(name), name) for name in ("w", "x_zero", "w_zero")
        )
        kept = [entry for entry in model.graph.input if entry.name in feeds]
        del model.graph.input[:]
        model.graph.input.extend(kept)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("inputs", [1, 2, 63, 64, 384])
def test_exact_grids_are_exact(weight_type: str, inputs: int, rows: int, constant: bool) -> None:
    """With the largest activations sums over a grid that counts as exact are those of 64-bit integers."""
    x, levels = factors(weight_type, inputs, rows)
    np.testing.assert_array_equal(multiplied(x, levels, weight_type, constant=constant), x @ levels)


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


def test_pairs_begin_at_the_first_input(exact_grids: frozenset[str]) -> None:
    """Without VNNI weights that keep the limit on inputs 1 and 2, 3 and 4, … are wrong: the limit is not of any two."""
    if "int8" in exact_grids:
        pytest.skip("this CPU sums int8 products exactly")
    x, levels = factors("int8-pairs", 64)
    moved = np.roll(levels, 1, axis=0)
    assert (multiplied(x, moved, "int8") != x @ moved).any()
