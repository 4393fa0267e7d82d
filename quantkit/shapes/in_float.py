"""In float: options that keep a block in float, beside those that make it INT8: scheme and width are chosen together.

A number of units alone is INT8; `InFloat` is the same number in float. A missing block has no scheme.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from quantkit.shapes.blocks import Block


@dataclass(frozen=True, slots=True)
class InFloat:
    """So many units of a block, its linear layers computed in float.

    Attributes:
        units: heads or neurons, 1 or more.
    """

    units: int

    def __str__(self) -> str:
        """Return what journals call it; a number of units as INT8 is that number."""
        return f"{self.units} in float"


Option = int | InFloat
"""What becomes of a block: so many units as INT8, or in float."""


def units_of(option: Option) -> int:
    """Return how many units stay."""
    return option.units if isinstance(option, InFloat) else option


def floats_of(options: Mapping[Block, Option]) -> tuple[Block, ...]:
    """Return the blocks that stay float."""
    return tuple(block for block, option in options.items() if isinstance(option, InFloat))
