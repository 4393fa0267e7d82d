"""Predicted against measured throughput of whole INT8 models: how far the prices of blocks can be added up.

    python benchmarks/predicted_throughput.py CHECKPOINT --data FILE [--shapes 14] [-o FILE]

Prices are measured as `quantkit search` measures them: each option of each block, the INT8 teacher and the same
without blocks, in turn, in one run. Then shapes are drawn: damages of blocks are invented, and the integer program of
the search takes the least of them at costs spread from just under the teacher's to near the least there is, so shapes
are of the kind that a search builds. Units are cut, not chosen, and no question is judged: only the shape costs time.
At last the teacher and all these models run in turn, in another run, and the throughput of each over the teacher's is
set beside the predicted.

What is timed is the CPU time of one thread, the lower quartile of interleaved rounds (`quantkit/latency/cost.py`),
which other work on the machine disturbs least. Printed as Markdown, and written as JSON with `-o`.
"""

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from quantkit.allocation.slots import Limit
from quantkit.allocation.solver import cheapest, least_damage_within
from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import QuantkitError
from quantkit.files import write_json
from quantkit.graph.model import load_model
from quantkit.latency.cost import measure_beside
from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
from quantkit.quantization.grids import signed_grid
from quantkit.quantization.observe import Detail, observe_model
from quantkit.quantization.write import open_embed_layer_norm
from quantkit.recipe.settings import ExportSettings, FuseSettings
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.shapes.blocks import Block, blocks_of
from quantkit.shapes.in_float import units_of
from quantkit.shapes.options import unit_counts
from quantkit.shapes.order import Narrowed
from quantkit.shapes.price import Load, Prices, WholeModel, prices_of
from quantkit.shapes.quantized import Bench
from quantkit.shapes.record import rank_correlation
from quantkit.shapes.rewrite import projection_of, read_by
from quantkit.shapes.slots import PRESENT, Units, named, space_of
from quantkit.shapes.trials import TOKEN_BUDGET
from quantkit.shapes.wanted import wanted_of
from quantkit.tasks.calibration_set import select

_FASTEST = 1.15
"""Of the costs that are asked for: the least is so much above the cheapest there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    checkpoint: str
    data: str
    data_dir: Path | None
    questions: int
    shapes: int
    step: int
    tokens: int
    seconds: float
    seed: int
    output: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One model: its heads and widths by layer, and its throughput over the INT8 teacher's."""

    heads: tuple[int, ...]
    feed_forward: tuple[int, ...]
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """How much the predicted is above the measured, as a share of it."""
        return self.predicted / self.measured - 1


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="the teacher")
    parser.add_argument("--data", required=True, help="calibration questions: a set's name or a file")
    parser.add_argument("--data-dir", type=Path, help="where the set is")
    parser.add_argument("--questions", type=int, default=32, help="calibration questions")
    parser.add_argument("--shapes", type=int, default=14, help="models that are built")
    parser.add_argument("--step", type=int, default=128, help="as of quantkit search")
    parser.add_argument("--tokens", type=int, default=170, help="of a row")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each of the two runs")
    parser.add_argument("--seed", type=int, default=0, help="of the shapes")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    return Options(**vars(parser.parse_args(arguments)))


def open_bench(options: Options, folder: Path) -> tuple[Bench, tuple[Block, ...]]:
    """Export, fuse and observe the teacher."""
    asked = ExportRequest(
        checkpoint=options.checkpoint, task="squad", export=ExportSettings(), fuse=FuseSettings()
    )
    artifact: Artifact = export_and_fuse(asked, folder / "teacher")
    model = load_model(artifact.model_path)
    open_embed_layer_norm(model)
    questions = select(options.data, "squad", None, options.data_dir, 0, at_most=options.questions)
    seen = observe_model(artifact, model, questions, detail=Detail.MOMENTS)
    grid = signed_grid(saturates=resolve_target(NATIVE, cpu_facts()).saturates)
    return Bench(model=model, observations=seen, grid=grid), blocks_of(artifact, model)


def first_units(bench: Bench, units: Units) -> dict[Block, Narrowed]:
    """Return the blocks that are narrowed, with their first units as they are."""
    found = {}
    for block, option in units.items():
        count = units_of(option)
        if count < block.units:
            of = projection_of(bench.model, block, bench.observations.statistics[read_by(bench.model, block)])
            kept = np.arange(count)
            matrix = of.matrix[of.columns(kept)]
            found[block] = Narrowed(units=kept, matrix=matrix, bias=of.bias, error=0.0)
    return found


def whole(bench: Bench, units: Units) -> WholeModel:
    """Return a whole INT8 model."""
    return WholeModel(bench.quick(first_units(bench, units)), tuple(sorted(named(units).items())))


def draw_shapes(prices: Prices, count: int, seed: int) -> list[Units]:
    """Return shapes within costs that fall from the teacher's, with invented damages."""
    random = np.random.default_rng(seed)
    present = [Limit(name=name, at_least=1) for name in PRESENT.values()]
    found: list[Units] = []
    for number in range(count):
        damages = {
            block: {
                # A block's worth varies by two orders of magnitude, as it does in trained models.
                option: float(weight * (1 - units_of(option) / block.units) ** 2)
                for option in costs
            }
            for (block, costs), weight in zip(
                prices.blocks.items(), np.exp(random.normal(0, 1.5, len(prices.blocks))), strict=True
            )
        }
        space = space_of(damages, prices.blocks)
        least = cheapest(space.slots, present)
        assert least is not None
        lowest = _FASTEST * (least.cost + prices.beside)
        share = (number + 0.5) / count
        cost = math.exp((1 - share) * math.log(prices.whole[0]) + share * math.log(lowest))
        chosen = least_damage_within(space.slots, cost - prices.beside, present)
        assert chosen is not None
        found.append(space.chosen(chosen))
    return found


def compared(units: Sequence[Units], prices: Prices, costs: Sequence[float]) -> list[Shape]:
    """Return the shapes with their throughputs; `costs` has the teacher's first."""
    teacher = prices.of({block: block.units for block in prices.blocks})
    return [
        Shape(
            heads=_by_layer(one, "attention"),
            feed_forward=_by_layer(one, "feed_forward"),
            predicted=teacher / prices.of(one),
            measured=costs[0] / cost,
        )
        for one, cost in zip(units, costs[1:], strict=True)
    ]


def _by_layer(units: Units, kind: str) -> tuple[int, ...]:
    return tuple(units_of(option) for block, option in units.items() if block.kind == kind)


def summed_up(shapes: Sequence[Shape]) -> dict[str, float]:
    """Return the errors as shares, and the rank correlation of predicted and measured throughput."""
    errors = [abs(shape.error) for shape in shapes]
    return {
        "median_error": statistics.median(errors),
        "largest_error": max(errors),
        "rank_correlation": rank_correlation(
            [shape.predicted for shape in shapes], [shape.measured for shape in shapes]
        ),
    }


def markdown(shapes: Sequence[Shape], summary: Mapping[str, float]) -> str:
    """Return the table, and the sentence under it."""
    lines = ["| heads | feed-forward widths | predicted | measured | error |", "|---|---|---|---|---|"]
    for shape in shapes:
        heads, widths = (" ".join(map(str, counts)) for counts in (shape.heads, shape.feed_forward))
        lines.append(
            f"| {heads} | {widths} | {shape.predicted:.2f} | {shape.measured:.2f} | {100 * shape.error:+.1f} % |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"{len(shapes)} models: median error {100 * summary['median_error']:.1f} %, largest "
            f"{100 * summary['largest_error']:.1f} %, rank correlation {summary['rank_correlation']:.3f}; "
            f"{cpu_facts().model}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = read_options(arguments)
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="quantkit-predicted-") as folder:
            bench, blocks = open_bench(options, Path(folder))
            teacher = whole(bench, {block: block.units for block in blocks})
            load = Load(rows=max(1, TOKEN_BUDGET // options.tokens), tokens=options.tokens)
            wanted = wanted_of(bench, {block: unit_counts(block, options.step) for block in blocks})
            empty = whole(bench, dict.fromkeys(blocks, 0))
            prices = prices_of(wanted, empty, [teacher], load, seconds=options.seconds)
            units = draw_shapes(prices, options.shapes, options.seed)
            costs = measure_beside(
                [teacher, *(whole(bench, one) for one in units)],
                tokens=load.tokens,
                rows=load.rows,
                seconds_budget=options.seconds,
            )
    except QuantkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    shapes = compared(units, prices, costs)
    summary = summed_up(shapes)
    print(markdown(shapes, summary))
    if options.output:
        content = {
            **summary,
            "shapes": [{**asdict(shape), "error": shape.error} for shape in shapes],
            "teacher_us": {"predicted": prices.whole[0], "measured": costs[0]},
            "beside_us": prices.beside,
            "tokens": load.tokens,
            "rows": load.rows,
            "seed": options.seed,
            "seconds": time.monotonic() - started,
            "tools": tool_versions("onnxruntime"),
            "cpu": cpu_facts().as_json(),
        }
        write_json(options.output, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
