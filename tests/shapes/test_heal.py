"""Healing is never worse on the rows that it was validated on."""

import numpy as np
import pytest

from quantkit.shapes.heal import HELD_OUT, nearest, squared_error
from quantkit.shapes.order import Narrowed


def rows(count: int, *, noise: float, seed: int = 0) -> tuple[Narrowed, list[np.ndarray], list[np.ndarray]]:
    """Return a part, and rows that another projection made, with noise."""
    random = np.random.default_rng(seed)
    part = Narrowed(units=np.arange(8), matrix=random.standard_normal((8, 4)), bias=np.zeros(4), error=0.0)
    units = [random.standard_normal((6, 8)) for _ in range(count)]
    other = part.matrix + 0.2 * random.standard_normal((8, 4))
    wanted = [values @ other + 1.0 + noise * random.standard_normal((6, 4)) for values in units]
    return part, units, wanted


@pytest.mark.parametrize("noise", [0.0, 1.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_held_out_rows_are_never_farther(noise: float, seed: int) -> None:
    """However noisy what is wanted is, the error on held-out rows does not rise."""
    part, units, wanted = rows(HELD_OUT, noise=noise, seed=seed)
    healed = nearest(part, units, wanted)
    held = [HELD_OUT - 1]
    assert squared_error(healed, [units[held[0]]], [wanted[held[0]]]) <= squared_error(
        part, [units[held[0]]], [wanted[held[0]]]
    )


def test_few_rows_leave_it_as_it_was() -> None:
    """Where no row can be held out, the part itself is returned."""
    part, units, wanted = rows(HELD_OUT - 1, noise=0.0)
    assert nearest(part, units, wanted) is part


def test_many_rows_find_what_made_them() -> None:
    """With enough rows and no noise the other projection is found, within the weakest pull."""
    part, units, wanted = rows(100, noise=0.0)
    assert squared_error(nearest(part, units, wanted), units, wanted) < 1e-4 * squared_error(
        part, units, wanted
    )


def test_a_missing_block_is_its_bias() -> None:
    """Without units only the bias is solved."""
    part = Narrowed(units=np.arange(0), matrix=np.zeros((0, 4)), bias=np.zeros(4), error=0.0)
    empty = [np.zeros((3, 0)) for _ in range(HELD_OUT)]
    healed = nearest(part, empty, [np.full((3, 4), 2.0)] * HELD_OUT)
    assert healed.bias.tolist() == [2.0] * 4


def test_units_that_never_differ_leave_the_bias() -> None:
    """Where every token gives the same, nothing but the bias can be solved, and the answer is finite."""
    part, _, wanted = rows(HELD_OUT, noise=0.0)
    healed = nearest(part, [np.ones((6, 8))] * HELD_OUT, wanted)
    np.testing.assert_array_equal(healed.matrix, part.matrix)
    assert np.isfinite(healed.bias).all()
