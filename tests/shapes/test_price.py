"""The price of the teacher is what the teacher was measured to cost."""

import onnx_ir as ir
import pytest

from quantkit.shapes import price
from quantkit.shapes.block_model import BlockRequest
from quantkit.shapes.blocks import Block
from quantkit.shapes.price import Load, WholeModel, prices_of

BLOCK = Block(layer=0, kind="feed_forward", path="l", units=64, size=1, hidden=32)


def whole(name: str) -> WholeModel:
    """Return a model that is only called."""
    return WholeModel(ir.Model(ir.Graph([], [], nodes=[]), ir_version=8), (name,))


@pytest.mark.parametrize(
    ("teacher", "beside"), [(17.0, 7.0), (11.0, 2.0)], ids=["the remainder", "never below its own part"]
)
def test_what_is_beside_blocks(monkeypatch: pytest.MonkeyPatch, teacher: float, beside: float) -> None:
    """It is the teacher less its blocks, and at least the model without blocks less its residuals."""
    monkeypatch.setattr(price, "measure_beside", lambda *_, **__: [10.0, 1.0, 3.0, teacher])
    wanted = {
        BLOCK: {units: BlockRequest(kind=BLOCK.kind, hidden=BLOCK.hidden, units=units) for units in (64, 0)}
    }
    prices = prices_of(wanted, whole("empty"), [whole("teacher")], Load(rows=1, tokens=8), seconds=0.0)
    assert prices.beside == beside
