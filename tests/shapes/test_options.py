"""Blocks are offered few units too, and heads one by one."""

from quantkit.shapes.blocks import Block
from quantkit.shapes.options import unit_counts


def test_networks_are_offered_very_few_neurons() -> None:
    """Below the smallest step there are 64 and 32."""
    block = Block(layer=0, kind="feed_forward", path="l", units=512, size=1, hidden=384)
    assert unit_counts(block, 128) == [512, 384, 256, 128, 64, 32, 0]


def test_heads_go_one_by_one() -> None:
    """Every number of up to twelve heads is offered; of more, every other."""
    block = Block(layer=0, kind="attention", path="l", units=4, size=32, hidden=128)
    assert unit_counts(block, 128) == [4, 3, 2, 1, 0]
    block = Block(layer=0, kind="attention", path="l", units=16, size=64, hidden=1024)
    assert unit_counts(block, 128) == [16, 14, 12, 10, 8, 6, 4, 2, 0]


def test_small_networks_are_offered_what_they_have() -> None:
    """A network narrower than the step keeps all, few, or none."""
    block = Block(layer=0, kind="feed_forward", path="l", units=48, size=1, hidden=16)
    assert unit_counts(block, 128) == [48, 32, 0]
