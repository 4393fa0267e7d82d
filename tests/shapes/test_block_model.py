"""Blocks as models of their own, what their price is measured on: those of all tokens, and of the one a head reads."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.model import save_model
from quantkit.quantization.grids import INT8
from quantkit.runtime.session import ATTENTION_MASK, open_model
from quantkit.shapes.block_model import INPUT, BlockRequest, float_blocks
from quantkit.shapes.blocks import Block, Kind
from quantkit.shapes.wanted import wanted_of

HIDDEN, HEADS, SIZE, WIDTH = 16, 2, 8, 32
KINDS: dict[Kind, dict[str, Any]] = {
    "attention": {"kind": "attention", "hidden": HIDDEN, "units": HEADS, "size": SIZE},
    "feed_forward": {"kind": "feed_forward", "hidden": HIDDEN, "units": WIDTH},
}
BLOCKS = [
    Block(
        layer=layer,
        kind=kind,
        path=f"l.{layer}",
        units=asked["units"],
        size=asked.get("size", 1),
        hidden=HIDDEN,
    )
    for layer in range(2)
    for kind, asked in KINDS.items()
]


def run(request: BlockRequest, folder: Path) -> np.ndarray:
    """Return what a block makes of two rows of five tokens."""
    random = np.random.default_rng(3)
    feeds: dict[str, Any] = {INPUT: random.standard_normal((2, 5, HIDDEN), np.float32)}
    if request.kind == "attention" and request.units:
        feeds[ATTENTION_MASK] = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    path = folder / "block.onnx"
    save_model(request.build(), path)
    (found,) = open_model(path, name="block").run(None, feeds)
    return np.asarray(found)


@pytest.mark.parametrize("units", ["all", 0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pooled_block_is_the_first_token_of_the_whole(kind: Kind, units: Any, tmp_path: Path) -> None:
    """What is timed for a head that reads one token is what that token needs, and the same numbers."""
    asked = KINDS[kind] | ({} if units else {"units": 0}) | {"scheme": "float"}
    pooled = run(BlockRequest(**asked, pooled=True), tmp_path)
    assert pooled.shape == (2, 1, HIDDEN)
    np.testing.assert_allclose(pooled, run(BlockRequest(**asked), tmp_path)[:, :1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pooled_block_is_known_by_its_own_name(kind: Kind) -> None:
    """Times of blocks of all tokens answer for no other, and are found where they were before there were others."""
    whole, pooled = (BlockRequest(**KINDS[kind], pooled=pooled) for pooled in (False, True))
    assert "pooled" not in whole.describe()
    assert pooled.describe() == {**whole.describe(), "pooled": True}
    assert str(pooled) == f"{whole} for one token"


@pytest.mark.parametrize("pooled", [True, False])
def test_the_last_layer_is_priced_as_the_head_reads_it(pooled: bool) -> None:
    """Where the head reads the first token alone, the last layer's blocks are priced for that token, no others."""
    model = float_blocks([BlockRequest(**asked) for asked in (*KINDS.values(), *KINDS.values())])
    if pooled:
        (stream,) = model.graph.outputs
        index = ir.val("index", const_value=ir.tensor(np.array(0, np.int64), name="index"))
        model.graph.register_initializer(index)
        node = ir.node("Gather", [stream, index], attributes={"axis": 1}, name="pooling")
        model.graph.append(node)
        model.graph.outputs[:] = node.outputs
    bench: Any = SimpleNamespace(model=model, grid=INT8, layout="onnxruntime")
    wanted = wanted_of(bench, {block: [block.units, 0] for block in BLOCKS})
    found = {block.layer for block, options in wanted.items() if all(one.pooled for one in options.values())}
    assert found == ({1} if pooled else set())
    assert {one.pooled for block in BLOCKS if block.layer == 0 for one in wanted[block].values()} == {False}
