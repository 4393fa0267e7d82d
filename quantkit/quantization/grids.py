"""Grids: the integers that a weight may take, each with the CPUs it is exact on and the kernel that multiplies it.

On x86 without VNNI the u8·s8 products of two neighbours are added in 16 bits (vpmaddubsw), where 2·255·127 saturates.
Two ways around it: 7 bits (reduce_range), as 2·255·63 = 32130 still fits, and weights around 128 (u8u8), for which
other instructions are used.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizedWeight:
    """int8 or uint8 values [rows, columns] with float32 scales, a scalar [] or one per column or per row.

    A weight is (value - zero_point) · scale; the zero point is 0 for int8 and 128 for uint8.
    """

    values: np.ndarray
    scales: np.ndarray
    zero_point: int = 0

    def zero_points(self) -> np.ndarray:
        """Return the zero point as operators take it: of the type of the values, shaped like the scales."""
        return np.full(self.scales.shape, self.zero_point, self.values.dtype)

    def dequantize(self) -> np.ndarray:
        """Return the float32 weights that the values stand for; scales are a scalar or one per column."""
        floats: np.ndarray = (self.values.astype(np.float32) - self.zero_point) * self.scales
        return floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The integers that a weight may take: whole numbers from -limit to limit, stored around a zero point.

    Attributes:
        name: as manifests and options call it.
        limit: the largest level.
        stored: the type that levels are stored in.
        zero_point: what level 0 is stored as.
        exact: also on CPUs that keep sums of two products in 16 bits (`quantkit.runtime.cpu.TargetIsa.saturates`).
        kernel: what multiplies uint8 activations by it.
    """

    name: str
    limit: int
    stored: Literal["int8", "uint8"] = "int8"
    zero_point: int = 0
    exact: bool = False
    kernel: Literal["u8s8", "u8u8"] = "u8s8"

    def nearest(self, scaled: np.ndarray) -> np.ndarray:
        """Return the levels nearest to weights that were divided by their scales (half to even)."""
        levels: np.ndarray = np.clip(np.rint(scaled), -self.limit, self.limit)
        return levels

    def encode(self, levels: np.ndarray, scales: np.ndarray) -> QuantizedWeight:
        """Store levels, whole numbers from -limit to limit."""
        values = levels + self.zero_point if self.zero_point else levels
        return QuantizedWeight(values=values.astype(self.stored), scales=scales, zero_point=self.zero_point)


GRIDS: dict[str, Grid] = {
    grid.name: grid
    for grid in (
        Grid(name="int8", limit=127),
        Grid(name="int7", limit=63, exact=True),
        Grid(name="uint8", limit=127, stored="uint8", zero_point=128, exact=True, kernel="u8u8"),
    )
}
"""Name → grid."""
INT8, UINT8 = GRIDS["int8"], GRIDS["uint8"]
