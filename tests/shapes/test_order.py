"""The order of removal, and what the projection is without the units."""

import numpy as np

from quantkit.shapes.order import Projection, keeping, narrowed, removal_order


def projection(
    *, units: int = 6, size: int = 1, hidden: int = 5, seed: int = 0
) -> tuple[Projection, np.ndarray]:
    """Return a projection and the inputs that its moments come from; unit 2 is nearly the sum of units 0 and 1."""
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((4000, units * size)) + 1.5
    inputs[:, 2 * size : 3 * size] = inputs[:, :size] + inputs[:, size : 2 * size]
    inputs[:, 2 * size : 3 * size] += 0.01 * random.standard_normal((4000, size))
    mean = inputs.mean(axis=0)
    return Projection(
        name="p",
        matrix=random.standard_normal((units * size, hidden)),
        bias=random.standard_normal(hidden),
        mean=mean,
        covariance=np.cov(inputs.T, bias=True),
        size=size,
    ), inputs


def test_what_others_can_make_up_for_goes_first() -> None:
    """One of three units of which each is a sum of the others is the first to go."""
    of, _ = projection()
    assert removal_order(of)[-1] in (0, 1, 2)


def test_whole_units_are_removed() -> None:
    """An order of heads is an order of their numbers."""
    of, _ = projection(size=4)
    assert sorted(removal_order(of).tolist()) == list(range(6))


def test_all_units_are_the_block_itself() -> None:
    """Nothing changes where nothing is removed."""
    of, _ = projection()
    whole = keeping(of, np.arange(6))
    assert (whole.matrix.tolist(), whole.error) == (of.matrix.tolist(), 0.0)
    # Sums in another order.
    assert np.allclose(whole.bias, of.bias, rtol=0, atol=1e-12)


def test_no_unit_is_the_mean_output() -> None:
    """A missing block gives what it gave on average."""
    of, inputs = projection()
    none = keeping(of, np.zeros(0, np.int64))
    assert none.error == 1.0
    assert np.allclose(none.bias, (inputs @ of.matrix + of.bias).mean(axis=0), rtol=0, atol=1e-9)


def test_the_projection_is_the_least_squares_solution() -> None:
    """What is left is what a regression of the outputs on the units that are left finds."""
    of, inputs = projection()
    kept = np.array([0, 1, 3])
    found = keeping(of, kept)
    regressors = np.c_[inputs[:, kept], np.ones(len(inputs))]
    wanted = np.linalg.lstsq(regressors, inputs @ of.matrix + of.bias, rcond=None)[0]
    # The ridge is a ten-thousandth of the variance.
    assert np.allclose(found.matrix, wanted[:-1], rtol=0, atol=2e-3)


def test_fewer_units_hurt_more() -> None:
    """Errors rise along the order, and each width is a prefix of it."""
    of, _ = projection()
    order = removal_order(of)
    found = narrowed(of, order, [6, 5, 3, 1, 0])
    errors = [found[width].error for width in (6, 5, 3, 1, 0)]
    assert errors == sorted(errors)
    assert found[3].units.tolist() == sorted(order[:3].tolist())


def test_the_reverse_order_is_worse() -> None:
    """The last of the order say more than the first of it, each as many."""
    of, _ = projection(units=32)
    order = removal_order(of)
    assert keeping(of, np.sort(order[:16])).error < keeping(of, np.sort(order[16:])).error
