"""Wanted: what the price of every option of every block is asked by."""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from quantkit.graph.linear import linear_layers
from quantkit.shapes.block_model import BlockRequest
from quantkit.shapes.blocks import Block
from quantkit.shapes.quantized import Bench


def wanted_of(
    bench: Bench, counts: Mapping[Block, Iterable[int]]
) -> Mapping[Block, Mapping[int, BlockRequest]]:
    """Return block → units → what is asked of the table of prices.

    Args:
        bench: what candidates are made of.
        counts: block → numbers of units.
    """
    activation = _activation(bench.model)
    return {
        block: {
            units: BlockRequest(
                kind=block.kind,
                hidden=block.hidden,
                units=units,
                size=block.size,
                activation=activation,
                grid=bench.grid.name,
                layout=bench.layout,
            )
            for units in numbers
        }
        for block, numbers in counts.items()
    }


def _activation(model: ir.Model) -> str:
    """Return the operator behind the first layer of feed-forward networks."""
    for layer in linear_layers(model.graph):
        if layer.name.endswith(".intermediate.dense"):
            return next(iter(layer.node.outputs[0].consumers())).op_type
    return "BiasGelu"
