"""Healing: projections are solved again only as far as rows that were held out agree."""

from dataclasses import replace

import numpy as np
import pytest

from quantkit.shapes.heal import _error, _solved
from quantkit.shapes.order import Narrowed


def part_of(matrix: np.ndarray) -> Narrowed:
    return Narrowed(units=np.arange(len(matrix)), matrix=matrix, bias=np.zeros(matrix.shape[1]), error=0.0)


def rows(count: int, right: np.ndarray, noise: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    random = np.random.default_rng(0)
    units = [random.normal(size=(6, len(right))) for _ in range(count)]
    return units, [values @ right + noise * random.normal(size=(6, right.shape[1])) for values in units]


@pytest.mark.parametrize(("count", "off", "learns"), [(200, 0.5, True), (5, 0.05, False)])
def test_few_rows_leave_a_projection_as_it_was(count: int, off: float, learns: bool) -> None:
    """With many rows the error falls to that of the right projection; with few, what was there stays."""
    right = np.random.default_rng(1).normal(size=(40, 8))
    was = part_of(right + off)
    units, wanted = rows(count, right, noise=3.0)
    healed = _solved(was, units, wanted)
    assert (healed is not was) is learns
    fresh = rows(50, right, noise=0.0)
    assert (_error(healed, *fresh) < 0.6 * _error(was, *fresh)) is learns


def test_a_missing_block_becomes_the_mean() -> None:
    """Nothing is left to solve but the constant."""
    units, wanted = rows(10, np.ones((3, 2)), noise=1.0)
    nothing = replace(part_of(np.zeros((0, 2))), units=np.zeros(0, np.int64))
    healed = _solved(nothing, [values[:, :0] for values in units], wanted)
    np.testing.assert_allclose(healed.bias, np.concatenate(wanted).mean(0), atol=1e-12)
