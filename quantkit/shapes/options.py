"""Options: how many units each block may keep, and the block that is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from quantkit.allocation.journal import Journal
from quantkit.progress import track
from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import InFloat, Option, units_of
from quantkit.shapes.order import Narrowed, Projection, narrowed, removal_order
from quantkit.shapes.quantized import Bench
from quantkit.shapes.rewrite import projection_of, read_by
from quantkit.shapes.slots import Units

_STEP = 16
"""Neurons that are removed at a time."""
_DISTINCT = 12
"""Numbers of units that a block is offered at most, missing and whole left out, and `_NARROW` too."""
_NARROW = (64, 32)
"""Widths that are offered too, below the smallest step: late networks may lose nearly all."""
_FLOAT_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of a block's units that are offered in float too; each is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """One block with every number of units it may keep.

    Attributes:
        block: the block.
        order: its units, the one removed first last.
        parts: number of units → what is left, the whole block first and the missing one last.
        floats: numbers of units that are offered in float too, falling; the others only as INT8.
    """

    block: Block
    order: np.ndarray
    parts: Mapping[int, Narrowed]
    floats: tuple[int, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """Those that make it INT8, then those that keep it float."""
        return (*self.parts, *map(InFloat, self.floats))


def ladders(
    bench: Bench, blocks: Sequence[Block], *, step: int, journal: Journal, in_float: bool = False
) -> dict[Block, Ladder]:
    """Return every block's options.

    Args:
        bench: the teacher, with moments.
        blocks: of it.
        step: widths of feed-forward networks are multiples of it.
        journal: orders that were found before.
        in_float: blocks may stay float too.

    Raises:
        QuantizationError: the moments are not those of any inputs.
    """
    found = {}
    with track("order", len(blocks), "blocks") as advance:
        for block in blocks:
            of = projection_of(bench.model, block, bench.observations.statistics[read_by(bench.model, block)])
            order = _order(of, block, journal)
            widths = unit_counts(block, step)
            found[block] = Ladder(
                block=block,
                order=order,
                parts=narrowed(of, order, widths),
                floats=float_counts(block, step) if in_float else (),
            )
            advance(1)
    return found


def parts_of(ladders: Mapping[Block, Ladder], units: Units) -> dict[Block, Narrowed]:
    """Return what is left of each block of a candidate that is narrowed, as its ladder has it."""
    return {
        block: ladders[block].parts[units_of(option)]
        for block, option in units.items()
        if units_of(option) < block.units
    }


def _order(of: Projection, block: Block, journal: Journal) -> np.ndarray:
    at_once = 1 if block.kind == "attention" else _STEP
    found = journal.timed(
        {"order": block.slot, "at once": at_once},
        lambda: {"units": removal_order(of, step=at_once).tolist()},
    )
    return np.array(found["units"], np.int64)


def unit_counts(block: Block, step: int) -> list[int]:
    """Return the numbers of units that a block may keep, falling: heads, neurons by steps, and very few of these."""
    least = 1 if block.kind == "attention" else step
    wide = least * max(1, -(-block.units // (least * _DISTINCT)))
    few = [width for width in _NARROW if width < wide and block.kind == "feed_forward"]
    return sorted(
        {block.units, *(n for n in [*range(0, block.units, wide), *few] if n < block.units)}, reverse=True
    )


def float_counts(block: Block, step: int) -> tuple[int, ...]:
    """Return the numbers of units that a block may keep in float, falling; all of them are offered as INT8 too."""
    there = [count for count in unit_counts(block, step) if count]
    nearest = {min(there, key=lambda count: abs(count - share * block.units)) for share in _FLOAT_SHARES}
    return tuple(sorted(nearest, reverse=True))
