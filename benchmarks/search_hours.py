"""What a search for shapes would take for BERT-Large, on 1, 8 and 64 machines, from the trial times of a smaller one.

    python benchmarks/search_hours.py found/search.json [--hidden 384] [--forward 28.4]

`quantkit search` keeps the seconds of every trial (`trials` of its report). Here each part is made as long as it would
be for BERT-Large's shape, with the same questions and the same numbers of candidates, and simulated as the report does
(`quantkit/shapes/hours.py`): machines like the one that measured, no network.

* What runs models (moments, answers, damage, the teacher) grows by the factor of a forward pass at the same number of
  tokens: `--forward`, measured, or else the ratio of multiply-accumulates.
* Damage has as many trials as the larger teacher has options.
* What solves for weights (order; candidates, which are healed and rounded by GPTQ) grows with the cubes of widths. Of
  candidates this is an upper bound: a part of their time is forward passes.

It is an estimate of the search alone: distillation is not in it. The story behind quantkit names 180 + 60 GPU hours.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quantkit.architectures import EncoderShape, LayerShape
from quantkit.errors import QuantkitError
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records import ShapeSearch
from quantkit.records.shapes import TrialTimes
from quantkit.shapes.hours import WORKERS, on_workers
from quantkit.shapes.phases import options_of

BERT_LARGE = EncoderShape(layers=(LayerShape(hidden=1024, heads=16, head_size=64, feed_forward=4096),) * 24)
SEED = "180 + 60 GPU hours"


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """By what factors the parts grow.

    Attributes:
        forward: of a forward pass at the same number of tokens.
        solving: of what is solved for all blocks together.
        attention: of what is solved for one attention block.
        feed_forward: of what is solved for one feed-forward network.
        options: of the number of trials of damage.
    """

    forward: float
    solving: float
    attention: float
    feed_forward: float
    options: float


def shape_of(report: ShapeSearch, hidden: int) -> EncoderShape:
    """Return the shape of the teacher of a report, whose residual stream is so wide."""
    teacher = report.candidates[0]
    size = hidden // max(teacher.heads)
    return EncoderShape(
        layers=tuple(
            LayerShape(hidden=hidden, heads=heads, head_size=size, feed_forward=width)
            for heads, width in zip(teacher.heads, teacher.feed_forward, strict=True)
        )
    )


def macs(shape: EncoderShape) -> float:
    """Return the multiply-accumulates of all linear layers, for one token."""
    return sum(
        layer.hidden * (4 * layer.heads * layer.head_size + 2 * layer.feed_forward) for layer in shape.layers
    )


def cubes(shape: EncoderShape) -> tuple[float, float]:
    """Return the mean cube of the widths of attention, and of feed-forward networks."""
    count = len(shape.layers)
    return (
        sum((layer.heads * layer.head_size) ** 3 for layer in shape.layers) / count,
        sum(layer.feed_forward**3 for layer in shape.layers) / count,
    )


def growth_of(small: EncoderShape, large: EncoderShape, *, forward: float | None, step: int) -> Growth:
    """Return the factors from one teacher to another."""
    (attention, feed_forward), (more_attention, more_feed_forward) = cubes(small), cubes(large)
    layers = len(large.layers) / len(small.layers)
    settings = SearchSettings(step=step)
    return Growth(
        forward=forward or macs(large) / macs(small),
        solving=layers * (more_attention + more_feed_forward) / (attention + feed_forward),
        attention=more_attention / attention,
        feed_forward=more_feed_forward / feed_forward,
        options=options_of(large, settings) / options_of(small, settings),
    )


def scaled(report: ShapeSearch, growth: Growth, *, layers: float) -> Iterator[TrialTimes]:
    """Yield the parts of the larger search.

    Args:
        report: of the smaller one.
        growth: the factors.
        layers: how many times as many layers there are.
    """
    for part in report.trials:
        if part.part == "damage":
            seconds = repeated([growth.forward * one for one in part.seconds], growth.options)
        elif part.part == "order":
            factors = [
                growth.attention if block.slot.endswith(".attention") else growth.feed_forward
                for block in report.blocks
            ]
            seconds = repeated(
                [factor * one for factor, one in zip(factors, part.seconds, strict=True)], layers
            )
        elif part.part.startswith("candidates"):
            seconds = [growth.solving * one for one in part.seconds]
        else:
            seconds = [growth.forward * one for one in part.seconds]
        yield TrialTimes(part=part.part, seconds=tuple(seconds))


def repeated(seconds: Sequence[float], times: float) -> list[float]:
    """Return so many times as many trials, of the same mean."""
    return [seconds[number % len(seconds)] for number in range(round(len(seconds) * times))]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("report", type=Path, help="search.json of a search that measured every trial")
    parser.add_argument("--hidden", type=int, default=384, help="width of its teacher's residual stream")
    parser.add_argument(
        "--forward", type=float, help="measured ratio of a forward pass, BERT-Large's over its"
    )
    parser.add_argument("--step", type=int, default=128, help="as given to both searches")
    given = parser.parse_args()
    try:
        report = ShapeSearch.read(given.report)
    except QuantkitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not report.trials:
        print(
            f"error: {given.report}: holds no times of trials; search again with this version",
            file=sys.stderr,
        )
        return 2
    small = shape_of(report, given.hidden)
    growth = growth_of(small, BERT_LARGE, forward=given.forward, step=given.step)
    large = list(scaled(report, growth, layers=len(BERT_LARGE.layers) / len(small.layers)))
    how = "measured" if given.forward else "by multiply-accumulates"
    print(
        f"forward pass x {growth.forward:.1f} ({how}), solving x {growth.solving:.0f}, "
        f"options x {growth.options:.2f}; the seed: {SEED}\n"
    )
    print(
        "| machines | as measured | of it damage, candidates | BERT-Large's shape | of it damage, candidates |"
    )
    print("|---|---|---|---|---|")
    for count in WORKERS:
        cells = [cell for parts in (report.trials, large) for cell in cells_of(parts, count)]
        print(f"| {count} | {' | '.join(cells)} |")
    return 0


def cells_of(parts: Sequence[TrialTimes], count: int) -> tuple[str, str]:
    """Return the hours in all, and of the two long parts."""
    found = on_workers(parts, count)
    built = sum(seconds for name, seconds in found.parts.items() if name.startswith("candidates"))
    return (
        f"{found.seconds / 3600:.2f} h",
        f"{found.parts.get('damage', 0) / 3600:.2f} h, {built / 3600:.2f} h",
    )


if __name__ == "__main__":
    sys.exit(main())
