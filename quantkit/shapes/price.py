"""Price: microseconds of each block by its option, on one thread of this CPU, and of all that is not in blocks.

Blocks, the INT8 teacher and the same without any block are measured together, in turn, in one run. The prices of both
whole models are what they were measured to be, and all between them adds up:

1. A missing block is a short residual. As a model of its own it has to fetch what a whole model has at hand, so its
   own time is too long. It costs what lets the sum come out: the time of the model without blocks, and for every block
   its own time less this, are the teacher's.
2. That is no less than nothing, no more than its own time, and no more than the model without blocks has for it. What
   is left over then belongs to the blocks, each by its own time. Where the head reads one token, the last layer's
   residuals are that token's: they cost their own time, which is next to nothing.
3. What stands beside the blocks (embeddings, head) is the model without blocks less its residuals.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir

from quantkit.allocation.journal import Journal
from quantkit.latency.cost import measure_beside
from quantkit.shapes.block_model import BlockRequest
from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import Option


@dataclass(frozen=True, slots=True, eq=False)
class WholeModel:
    """A whole model as a snippet: its shape says what it costs, so equal shapes are measured once."""

    model: ir.Model
    shape: tuple[Any, ...]

    def __hash__(self) -> int:
        """Return the same for the same shape."""
        return hash(self.shape)

    def __eq__(self, other: object) -> bool:
        """Tell whether the other has the same shape."""
        return isinstance(other, WholeModel) and other.shape == self.shape

    def __str__(self) -> str:
        """Return what messages call it."""
        return "whole model"

    def describe(self) -> dict[str, Any]:
        """Return the shape as plain JSON."""
        return {"snippet": "model", "shape": list(self.shape)}

    def build(self) -> ir.Model:
        """Return the model."""
        return self.model.clone()

    def check(self, executed: onnx.GraphProto) -> None:
        """Its layers were checked where it was quantized."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """Microseconds per 1,000 tokens on one thread.

    Attributes:
        blocks: block → option → the block with its residual.
        beside: what is not in any block.
        whole: of the models that were measured whole, in their order.
    """

    blocks: Mapping[Block, Mapping[Option, float]]
    beside: float
    whole: tuple[float, ...]

    def of(self, units: Mapping[Block, Option]) -> float:
        """Return the predicted cost of a model."""
        return self.beside + sum(prices[units[block]] for block, prices in self.blocks.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What runs at once: so many rows of so many tokens."""

    rows: int
    tokens: int


def prices_of(
    wanted: Mapping[Block, Mapping[Option, BlockRequest]],
    empty: WholeModel,
    whole: Sequence[WholeModel],
    load: Load,
    *,
    seconds: float,
    journal: Journal | None = None,
) -> Prices:
    """Measure, unless the same was measured for the same search.

    Other prices would lead to other candidates, and what was measured of the first would be for nothing.

    Args:
        wanted: block → option → what is asked.
        empty: the model with every block missing.
        whole: models to measure beside it, the INT8 teacher first.
        load: what runs at once.
        seconds: how long it may take.
        journal: what was measured before; None: measure now.
    """
    requests: list[Any] = list(
        dict.fromkeys(one for by_units in wanted.values() for one in by_units.values())
    )
    everything = list(dict.fromkeys([*requests, empty, *whole]))

    def measure() -> dict[str, Any]:
        costs = measure_beside(everything, tokens=load.tokens, rows=load.rows, seconds_budget=seconds)
        return {"costs": costs}

    of = {"prices": [one.describe() for one in everything], "load": [load.rows, load.tokens]}
    measured = measure() if journal is None else journal.timed(of, measure)
    costs = dict(zip(everything, measured["costs"], strict=True))
    blocks = {
        block: {units: costs[one] for units, one in by_units.items()} for block, by_units in wanted.items()
    }
    pooled = {block for block, by_units in wanted.items() if by_units[0].pooled}
    return _summed(blocks, pooled, costs[empty], tuple(costs[model] for model in whole))


def _summed(
    blocks: Mapping[Block, Mapping[Option, float]],
    pooled: Collection[Block],
    empty: float,
    whole: tuple[float, ...],
) -> Prices:
    """Return prices that add up to what both whole models were measured to cost: without any block, and with all.

    Args:
        blocks: block → option → the block with its residual, as a model of its own.
        pooled: those that are computed for one token.
        empty: the model without any block.
        whole: the teacher, and other whole models.
    """
    full = sum(
        by_units[max(option for option in by_units if isinstance(option, int))]
        for by_units in blocks.values()
    )
    missing = {block: blocks[block][0] for block in pooled}
    least = sum(missing.values())
    others = [block for block in blocks if block not in pooled]
    if others:
        alone = sum(blocks[block][0] for block in others) / len(others)
        each = min((empty + full - whole[0] - least) / len(others), alone, (empty - least) / len(others))
        missing |= dict.fromkeys(others, max(each, 0.0))
    all_missing = sum(missing.values())
    left = full - all_missing
    share = max(whole[0] - empty, 0.0) / left if left > 0 else 1.0
    return Prices(
        blocks={
            block: {
                units: missing[block] + share * (cost - missing[block]) if units else missing[block]
                for units, cost in by_units.items()
            }
            for block, by_units in blocks.items()
        },
        beside=empty - all_missing,
        whole=whole,
    )
