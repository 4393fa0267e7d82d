"""Wanted: what the price of every option of every block is asked by."""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from quantkit.graph.layout.narrow_pooled import narrow_pooled
from quantkit.graph.linear import linear_layers
from quantkit.shapes.block_model import BlockRequest
from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import InFloat, Option, units_of
from quantkit.shapes.quantized import Bench


def wanted_of(
    bench: Bench, counts: Mapping[Block, Iterable[Option]]
) -> Mapping[Block, Mapping[Option, BlockRequest]]:
    """Return block → option → what is asked of the table of prices.

    Args:
        bench: what candidates are made of.
        counts: block → options.
    """
    activation = _activation(bench.model)
    last = max((block.layer for block in counts), default=0) if narrow_pooled(bench.model.clone()) else None
    return {
        block: {
            option: BlockRequest(
                kind=block.kind,
                hidden=block.hidden,
                units=units_of(option),
                size=block.size,
                activation=activation,
                grid=bench.grid.name,
                layout=bench.layout,
                scheme="float" if isinstance(option, InFloat) else "static",
                pooled=block.layer == last,
            )
            for option in options
        }
        for block, options in counts.items()
    }


def _activation(model: ir.Model) -> str:
    """Return the operator behind the first layer of feed-forward networks."""
    for layer in linear_layers(model.graph):
        if layer.name.endswith(".intermediate.dense"):
            return next(iter(layer.node.outputs[0].consumers())).op_type
    return "BiasGelu"
