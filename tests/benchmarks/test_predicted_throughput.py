"""The comparison of predicted and measured throughput, on invented prices."""

import pytest
from scripts import load_script

from quantkit.shapes.blocks import Block
from quantkit.shapes.price import Prices

pytest.importorskip("scipy", reason="shapes are drawn with the solver")
script = load_script("benchmarks/predicted_throughput.py")
BLOCKS = [
    Block(layer=layer, kind=kind, path=f"layer.{layer}", units=units, size=size, hidden=32)  # type: ignore[arg-type]
    for layer in range(3)
    for kind, units, size in (("attention", 4, 8), ("feed_forward", 64, 1))
]
PRICES = Prices(
    blocks={block: {units: 1.0 + units / block.units for units in (block.units, 0)} for block in BLOCKS},
    beside=4.0,
    whole=(16.0,),
)


def test_shapes_keep_a_block_of_each_kind_and_their_costs_fall() -> None:
    """From nearly the teacher's cost to nearly the least, and each can be built."""
    shapes = script.draw_shapes(PRICES, 4, seed=0)
    costs = [PRICES.of(shape) for shape in shapes]
    assert costs == sorted(costs, reverse=True)
    assert all(12.0 <= cost < 16.0 for cost in costs)
    for kind in ("attention", "feed_forward"):
        assert all(any(count for block, count in shape.items() if block.kind == kind) for shape in shapes)


def test_errors_are_of_throughput_over_the_teachers() -> None:
    """The machine may have become slower between prices and models: only ratios are compared."""
    units = {block: 0 if block.layer else block.units for block in BLOCKS}
    (shape,) = script.compared([units], PRICES, [32.0, 25.6])
    assert (shape.heads, shape.feed_forward) == ((4, 0, 0), (64, 0, 0))
    assert (shape.predicted, shape.measured) == (16 / 12, 32 / 25.6)
    assert shape.error == pytest.approx(1 / 15, abs=1e-12)
    assert script.summed_up([shape])["median_error"] == pytest.approx(1 / 15, abs=1e-12)
