"""Keep float: the blocks of a candidate that stay float, as settings of `quantkit quantize` beside its checkpoint."""

from collections.abc import Iterator
from pathlib import Path

from quantkit.files import write_text
from quantkit.recipe.load import dump_section, load_section
from quantkit.recipe.quantize_settings import KeepFloat, QuantizeSettings
from quantkit.shapes.blocks import Block, Kind
from quantkit.shapes.candidate import Candidate
from quantkit.shapes.find import Found
from quantkit.shapes.in_float import InFloat

NAME = "quantize.yaml"
_LAYERS: dict[Kind, tuple[str, ...]] = {
    "attention": ("attention.*",),
    "feed_forward": ("intermediate.dense", "output.dense"),
}
"""Kind of block → patterns of its linear layers, after the number of the encoder layer."""


def kept_float(found: Found, candidate: Candidate) -> tuple[KeepFloat, ...]:
    """Return the patterns of a candidate's layers that stay float, whatever becomes of their weights by training."""
    return tuple(
        KeepFloat(pattern=pattern, because=_because(found, block, option))
        for block, option in candidate.units.items()
        if isinstance(option, InFloat)
        for pattern in patterns(block)
    )


def patterns(block: Block) -> Iterator[str]:
    """Yield patterns that name the linear layers of a block, and no others."""
    for end in _LAYERS[block.kind]:
        yield f"layer.{block.layer}.{end}"


def write_kept(folder: Path, kept: tuple[KeepFloat, ...]) -> None:
    """Write patterns beside a checkpoint, for `quantkit quantize --config`; of none the list is empty.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_text(folder / NAME, dump_section(QuantizeSettings(keep_float=kept), only="keep_float"))


def read_kept(folder: Path) -> tuple[KeepFloat, ...]:
    """Return the patterns beside a checkpoint; nothing where none were written.

    Raises:
        RecipeError: the file is not what `write_kept` writes.
    """
    path = folder / NAME
    if not path.is_file():
        return ()
    settings = load_section(path, "quantize", QuantizeSettings)
    return QuantizeSettings(keep_float=settings.get("keep_float", ())).keep_float


def _because(found: Found, block: Block, option: InFloat) -> str:
    """Return damage and cost of the choice, beside those of the same units as INT8."""
    damages, costs = found.damages[block], found.search.prices.blocks[block]
    return (
        f"damage {damages[option]:.2g} nats, {costs[option]:,.0f} µs per 1,000 tokens; "
        f"as INT8 {damages[option.units]:.2g} nats at {costs[option.units]:,.0f} µs"
    )
