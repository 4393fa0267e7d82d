"""Chooses a shape within BERT-Large's by the search's own prices and program, without any weights: for speed only.

    python benchmarks/models/priced_shape.py --max-parameters 115000000 --min-throughput 6.5 -o shape.json
    python benchmarks/models/decibert_shape.py -o found --shape shape.json --tokenizer BERT

Every option of a block is priced on this machine as INT8, as `quantkit search` prices it, beside all blocks one after
the other and all of them missing: prices add up to what these two take. What a block is worth needs
trained weights, which are not at hand for this size. So it is assumed: damage is the squared share of the units that
go, and the first layer is worth `--fall` times as much as the last, falling evenly between. (In MiniLM the error of a
halved feed-forward network falls a hundred times from the first layers to the last.) The program of the search takes
the least damage within the limits.

The teacher's price is that of its blocks and of what is written for `--beside`, microseconds per 1,000 tokens:
embeddings and head, which no block has.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.allocation.slots import Limit
from quantkit.allocation.solver import least_damage_within
from quantkit.errors import QuantkitError
from quantkit.files import write_json
from quantkit.quantization.grids import signed_grid
from quantkit.recipe.quantize_settings import QuantizeSettings
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.shapes.block_model import BlockRequest, float_blocks, round_all
from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import Option, units_of
from quantkit.shapes.options import unit_counts
from quantkit.shapes.price import Load, Prices, WholeModel, prices_of
from quantkit.shapes.slots import PARAMETERS, PRESENT, Units, space_of
from quantkit.shapes.trials import TOKEN_BUDGET

_HEAD_SIZE, _POSITIONS, _TYPES = 64, 512, 2
_PRICE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    max_parameters: int
    min_throughput: float
    layers: int
    hidden: int
    ffn: int
    vocab: int
    step: int
    tokens: int
    fall: float
    beside: float
    output: Path


def read_options(arguments: Sequence[str] | None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--max-parameters", type=int, required=True, help="embeddings included")
    parser.add_argument("--min-throughput", type=float, default=1.0, help="times that of the whole")
    for name, count in (("layers", 24), ("hidden", 1024), ("ffn", 4096), ("vocab", 30522), ("step", 256)):
        parser.add_argument(f"--{name}", type=int, default=count, help="default: %(default)s")
    parser.add_argument("--tokens", type=int, default=170, help="of a row (default: %(default)s)")
    parser.add_argument("--fall", type=float, default=100.0, help="default: %(default)s")
    parser.add_argument("--beside", type=float, default=0.0, help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, required=True, help="config.json to write")
    return Options(**vars(parser.parse_args(arguments)))


def list_blocks(options: Options) -> list[Block]:
    """Return the blocks, from the first layer to the last."""
    heads = options.hidden // _HEAD_SIZE
    return [
        Block(layer=number, kind=kind, path=f"layer.{number}", units=units, size=size, hidden=options.hidden)  # type: ignore[arg-type]
        for number in range(options.layers)
        for kind, units, size in (("attention", heads, _HEAD_SIZE), ("feed_forward", options.ffn, 1))
    ]


def price(blocks: Sequence[Block], options: Options) -> Prices:
    """Return prices of blocks that add up to what all of them, one after the other, and none of them take."""
    target = resolve_target(NATIVE, cpu_facts())
    grid, layout = signed_grid(saturates=target.saturates).name, QuantizeSettings().layout_for(target.name)
    wanted: dict[Block, dict[Option, BlockRequest]] = {
        block: {
            units: BlockRequest(
                kind=block.kind,
                hidden=block.hidden,
                units=units,
                size=block.size,
                grid=grid,
                layout=layout,
            )
            for units in unit_counts(block, options.step)
        }
        for block in blocks
    }
    load = Load(rows=max(1, TOKEN_BUDGET // options.tokens), tokens=options.tokens)
    none, every = (
        whole_model([by_units[pick(by_units, key=units_of)] for by_units in wanted.values()])
        for pick in (min, max)
    )
    return prices_of(wanted, none, [every], load, seconds=_PRICE_SECONDS)


def whole_model(requests: Sequence[BlockRequest]) -> WholeModel:
    """Return blocks one after the other, as INT8."""
    model = float_blocks(requests)
    round_all(model, grid=requests[0].grid, layout=requests[0].layout)
    return WholeModel(model, tuple(str(request) for request in requests))


def choose(prices: Prices, options: Options) -> tuple[Units, float]:
    """Return block → units, and the predicted throughput over the whole.

    Raises:
        QuantkitError: the solver is not installed.
        SystemExit: nothing keeps the limits.
    """
    damages = {
        block: {
            option: options.fall ** (1 - block.layer / max(1, options.layers - 1))
            * (1 - units_of(option) / block.units) ** 2
            for option in by_units
        }
        for block, by_units in prices.blocks.items()
    }
    space = space_of(damages, prices.blocks)
    hidden = options.hidden
    beside = (
        hidden * (options.vocab + _POSITIONS + _TYPES + 2) + options.layers * 4 * hidden + 2 * (hidden + 1)
    )
    around = options.beside + prices.beside
    whole = options.beside + prices.of({block: block.units for block in prices.blocks})
    limits = [
        *(Limit(name=name, at_least=1) for name in PRESENT.values()),
        Limit(name=PARAMETERS, at_most=options.max_parameters - beside),
    ]
    found = least_damage_within(space.slots, whole / options.min_throughput - around, limits)
    if found is None:
        sys.exit("no shape keeps both limits; ask for less")
    return space.chosen(found), whole / (found.cost + around)


def config(units: Units, options: Options) -> dict[str, Any]:
    """Return the config.json of a shape."""
    counts = {(block.layer, block.kind): units_of(option) for block, option in units.items()}
    layers = range(options.layers)
    return {
        "architectures": ["DeciBertForQuestionAnswering"],
        "model_type": "decibert",
        "vocab_size": options.vocab,
        "hidden_size": options.hidden,
        "attention_head_size": _HEAD_SIZE,
        "num_hidden_layers": options.layers,
        "heads_per_layer": [counts[number, "attention"] for number in layers],
        "feed_forward_per_layer": [counts[number, "feed_forward"] for number in layers],
        "max_position_embeddings": _POSITIONS,
        "type_vocab_size": _TYPES,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose, write and print; return the exit code."""
    options = read_options(arguments)
    try:
        prices = price(list_blocks(options), options)
        units, throughput = choose(prices, options)
        found = config(units, options)
        write_json(options.output, found)
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    inner = sum(block.parameters(units_of(option)) for block, option in units.items())
    lists = {name: found[name] for name in ("heads_per_layer", "feed_forward_per_layer")}
    print(json.dumps({**lists, "parameters_of_blocks": inner, "predicted_throughput": round(throughput, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
