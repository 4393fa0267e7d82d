"""Grids: the integers that a weight may take, each with the CPUs it is exact on and the kernel that multiplies it.

On x86 without VNNI the u8·s8 products of two neighbours are added in 16 bits (vpmaddubsw), where 2·255·127 saturates.
Three ways around it: 8 bits within the pair limit (`quantkit.graph.pairs`), 7 bits (reduce_range), as 2·255·63 = 32130
still fits, and weights around 128 (u8u8), for which other instructions are used.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantkit.graph.pairs import PAIR_LIMIT, pair_sums


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
        pair_limit: what two levels of one sign may sum to where they are of inputs 2i and 2i + 1; None for anything.
    """

    name: str
    limit: int
    stored: Literal["int8", "uint8"] = "int8"
    zero_point: int = 0
    exact: bool = False
    kernel: Literal["u8s8", "u8u8"] = "u8s8"
    pair_limit: int | None = None

    def reach(self, matrix: np.ndarray) -> np.ndarray:
        """Return what the last level has to stand for in each column of a matrix [inputs, outputs], of its type."""
        largest: np.ndarray = np.abs(matrix).max(axis=0)
        if self.pair_limit is None:
            return largest
        positive, negative = pair_sums(matrix)
        sums = np.maximum(positive.max(axis=0), -negative.min(axis=0))
        reach: np.ndarray = np.maximum(largest, sums * matrix.dtype.type(self.limit / self.pair_limit))
        return reach

    def scales(self, matrix: np.ndarray, *, per_channel: bool = True) -> np.ndarray:
        """Return the scales by which a matrix [inputs, outputs] fits the grid, and 1 where all weights are 0.

        Float32 [outputs], or [] for one that all columns share.
        """
        reach = self.reach(matrix)
        scales = ((reach if per_channel else reach.max()) / self.limit).astype(np.float32)
        safe: np.ndarray = np.where(scales < np.finfo(np.float32).tiny, np.float32(1.0), scales)
        return safe.astype(np.float32)

    def nearest(self, scaled: np.ndarray) -> np.ndarray:
        """Return the levels nearest to weights [inputs, …] that were divided by their scales (half to even).

        Of two that exceed the pair limit together, those are taken within it that are nearest to both.
        """
        levels: np.ndarray = np.clip(np.rint(scaled), -self.limit, self.limit)
        if self.pair_limit is None or len(levels) < 2:
            return levels
        paired = len(levels) // 2 * 2
        first, second = levels[0:paired:2], levels[1:paired:2]
        between = scaled[0:paired:2] - scaled[1:paired:2]
        for sign in (1, -1):
            # Only levels of one sign can: each alone is within the limit.
            over = sign * (first + second) > self.pair_limit
            shares = np.rint((sign * between + self.pair_limit) / 2)
            shares = np.clip(shares, self.pair_limit - self.limit, self.limit)
            first[over] = sign * shares[over]
            second[over] = sign * self.pair_limit - first[over]
        return levels

    def nearest_beside(self, scaled: np.ndarray, taken: np.ndarray | None) -> np.ndarray:
        """Return the levels nearest to the weights of one input [outputs], divided by their scales.

        Args:
            scaled: the weights.
            taken: levels of the other input of its pair, which stay; None while they are open, or where there is none.
        """
        low, high = np.float64(-self.limit), np.float64(self.limit)
        if self.pair_limit is not None and taken is not None:
            low = np.maximum(low, -self.pair_limit - np.minimum(taken, 0))
            high = np.minimum(high, self.pair_limit - np.maximum(taken, 0))
        levels: np.ndarray = np.clip(np.rint(scaled), low, high)
        return levels

    def encode(self, levels: np.ndarray, scales: np.ndarray) -> QuantizedWeight:
        """Store levels, whole numbers from -limit to limit."""
        values = levels + self.zero_point if self.zero_point else levels
        return QuantizedWeight(values=values.astype(self.stored), scales=scales, zero_point=self.zero_point)


GRIDS: dict[str, Grid] = {
    grid.name: grid
    for grid in (
        Grid(name="int8", limit=127),
        Grid(name="int8-pairs", limit=127, exact=True, pair_limit=PAIR_LIMIT),
        Grid(name="int7", limit=63, exact=True),
        Grid(name="uint8", limit=127, stored="uint8", zero_point=128, exact=True, kernel="u8u8"),
    )
}
"""Name → grid."""
INT8, UINT8 = GRIDS["int8"], GRIDS["uint8"]


def signed_grid(*, saturates: bool) -> Grid:
    """Return the finest signed grid that is exact on CPUs that keep sums of two products in 16 bits, or do not."""
    return GRIDS["int8-pairs"] if saturates else INT8
