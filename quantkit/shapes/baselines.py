"""Baselines: what a search must beat, at the predicted price of its result and judged on the same questions.

* the uniform architecture: all layers alike, healed as candidates are;
* the teacher without its last layers, as few as bring the price down, nothing healed;
* the uniform widths with the units whose weights are largest, neither solved nor healed: what is done where nothing is
  observed.
"""

from collections.abc import Mapping

import numpy as np

from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import units_of
from quantkit.shapes.order import Narrowed, Projection
from quantkit.shapes.quantized import Bench
from quantkit.shapes.rewrite import projection_of, read_by
from quantkit.shapes.slots import Costs, Units


def without_layers(costs: Costs, cost: float) -> Mapping[Block, int] | None:
    """Return the teacher without its last layers, as few as bring the blocks' cost down to this.

    Args:
        costs: block → option → microseconds per 1,000 tokens.
        cost: most that the blocks may cost together.

    Returns:
        Block → units; None when even the first layer alone costs more, or when no layer has to go.
    """
    layers = 1 + max(block.layer for block in costs)
    for left in range(layers, 0, -1):
        units = {block: block.units if block.layer < left else 0 for block in costs}
        if sum(costs[block][count] for block, count in units.items()) <= cost:
            return units if left < layers else None
    return None


def by_magnitude(bench: Bench, units: Units) -> dict[Block, Narrowed]:
    """Return the blocks that are narrowed, each with the units whose weights are largest."""
    return {
        block: largest(
            projection_of(bench.model, block, bench.observations.statistics[read_by(bench.model, block)]),
            units_of(option),
        )
        for block, option in units.items()
        if units_of(option) < block.units
    }


def largest(of: Projection, count: int) -> Narrowed:
    """Return a block with so many units, those whose weights in the projection have the largest norm, as they are."""
    norms = np.square(of.matrix).sum(axis=1).reshape(-1, of.size).sum(axis=1)
    units = np.sort(np.argsort(-norms, kind="stable")[:count])
    gone = of.columns(np.setdiff1d(np.arange(of.units), units))
    lost = of.matrix[gone]
    moment = of.covariance[np.ix_(gone, gone)] + np.outer(of.mean[gone], of.mean[gone])
    variance = float(np.einsum("ih,ih->", of.matrix, of.covariance @ of.matrix))
    error = float(np.einsum("ih,ih->", lost, moment @ lost))
    return Narrowed(
        units=units,
        matrix=of.matrix[of.columns(units)],
        bias=of.bias,
        error=error / variance if variance > 0 else 0.0,
    )
