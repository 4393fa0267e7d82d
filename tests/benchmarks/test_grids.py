"""benchmarks/grids.py: orders that are free move nothing across a block, and every form is measured against int8."""

from types import ModuleType

import numpy as np
import pytest
from scripts import load_script

from quantkit.graph.linear import Linear


@pytest.fixture(scope="module")
def grids() -> ModuleType:
    """Return the script as a module."""
    return load_script("benchmarks/grids.py", "grids_script")


@pytest.mark.parametrize(("sizes", "order"), [([1, 4, 2, 3], [0, 1, 2, 3]), ([5, 1, 9], [1, 2, 0])])
def test_small_inputs_stand_beside_large_ones(grids: ModuleType, sizes: list[int], order: list[int]) -> None:
    """The smallest beside the largest, and an odd one at the end."""
    assert grids.by_size(np.array(sizes)).tolist() == order


@pytest.mark.parametrize("blocks", [0, 8, 24])
def test_sharpened_forms_stay_between_int8_and_the_pair_limit(grids: ModuleType, blocks: int) -> None:
    """A free order stays within its blocks; forms that sharpen int8-pairs are no worse than it, and int7 is."""
    random = np.random.default_rng(0)
    subject = grids.Subject(
        layer=Linear,
        matrix=random.normal(size=(24, 16)).astype(np.float32),
        squares=np.ones(24),
        largest=np.full(24, 140.0),
        blocks=blocks,
    )
    order = grids.free_order(subject)
    run = blocks or 1
    assert (order // run == np.arange(24) // run).all()
    assert sorted(order) == list(range(24))
    found = grids.relative_errors(subject)
    assert found["int8"] == 1.0
    assert found["clipped"] <= found["int8-pairs"]
    assert found["calibrated"] <= found["int8-pairs"] < found["int7"]
