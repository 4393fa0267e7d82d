"""Grids: levels come back, and sums of products are exact where a grid says so."""

import numpy as np
import pytest

from quantkit.quantization.grids import GRIDS, Grid

every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


@every_grid
def test_levels_come_back(grid: Grid) -> None:
    """Every level is stored in the grid's type, around its zero point, and read as itself."""
    levels = np.arange(-grid.limit, grid.limit + 1, dtype=np.float32)[:, None]
    found = grid.encode(levels, np.ones(1, np.float32))
    assert (grid.stored, grid.zero_point) == (found.values.dtype, found.zero_point)
    np.testing.assert_array_equal(levels, found.dequantize())


@every_grid
def test_nearest_is_on_the_grid(grid: Grid) -> None:
    """Halves go to the even level, and what is beyond the last level to the last."""
    scaled = np.array([0.5, 1.5, -2.5, 1e6, -1e6], np.float32)
    assert [0, 2, -2, grid.limit, -grid.limit] == grid.nearest(scaled).tolist()


@every_grid
def test_exact_where_sums_are_kept_in_16_bits(grid: Grid) -> None:
    """Of grids that vpmaddubsw multiplies those are exact whose two largest products fit into 16 signed bits."""
    fits = 255 * (grid.pair_limit or 2 * grid.limit) <= 2**15 - 1
    assert grid.exact == (fits or grid.kernel == "u8u8")
