"""Prices add up to what whole models were measured to cost."""

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
    ("empty", "teacher", "missing", "full"),
    [(3.0, 12.0, 1.0, 10.0), (3.0, 10.0, 2.0, 9.0), (3.0, 13.0, 0.0, 10.0), (1.0, 8.0, 1.0, 8.0)],
    ids=["adds up", "no more than its own", "no less than nothing", "no more than there is"],
)
def test_both_whole_models_come_out(
    monkeypatch: pytest.MonkeyPatch, empty: float, teacher: float, missing: float, full: float
) -> None:
    """The price of all blocks is the teacher's time, and that of none the time without blocks."""
    monkeypatch.setattr(price, "measure_beside", lambda *_, **__: [10.0, 2.0, empty, teacher])
    wanted = {
        BLOCK: {units: BlockRequest(kind=BLOCK.kind, hidden=BLOCK.hidden, units=units) for units in (64, 0)}
    }
    prices = prices_of(wanted, whole("empty"), [whole("teacher")], Load(rows=1, tokens=8), seconds=0.0)
    assert prices.blocks == {BLOCK: {64: full, 0: missing}}
    assert (prices.of({BLOCK: 64}), prices.of({BLOCK: 0})) == (teacher, empty)


def test_what_one_token_needs_is_priced_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last layer of a pooled model costs its own time at every width; what is missing elsewhere, as ever."""
    last = Block(layer=1, kind="feed_forward", path="l", units=64, size=1, hidden=32)
    monkeypatch.setattr(price, "measure_beside", lambda *_, **__: [10.0, 2.0, 0.5, 0.25, 3.25, 12.5])
    wanted = {
        block: {
            units: BlockRequest(kind=block.kind, hidden=32, units=units, pooled=block is last)
            for units in (64, 0)
        }
        for block in (BLOCK, last)
    }
    prices = prices_of(wanted, whole("empty"), [whole("teacher")], Load(rows=1, tokens=8), seconds=0.0)
    # 3.25 + 10 + 0.5 - 12.5 is what both cost when they are missing, and the pooled one costs 0.25.
    assert prices.blocks == {BLOCK: {64: 10.0, 0: 1.0}, last: {64: 0.5, 0: 0.25}}
    assert (prices.beside, prices.of({BLOCK: 64, last: 64}), prices.of({BLOCK: 0, last: 0})) == (
        2.0,
        12.5,
        3.25,
    )
