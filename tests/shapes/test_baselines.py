"""What a search must beat: layers left out from the last, and units kept by the size of their weights."""

import numpy as np
import pytest

from quantkit.shapes.baselines import largest, without_layers
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Projection, keeping


def block(layer: int, kind: str) -> Block:
    """Return a block of four units."""
    return Block(layer=layer, kind=kind, path=f"layer.{layer}", units=4, size=1, hidden=8)


@pytest.mark.parametrize(("cost", "left"), [(61, None), (60, None), (59, 2), (40, 2), (39, 1), (19, None)])
def test_as_few_layers_as_must_go(cost: float, left: int | None) -> None:
    """Whole layers go from the last one on; nothing is returned where none has to go or none is left."""
    blocks = [block(layer, kind) for layer in range(3) for kind in ("attention", "feed_forward")]
    found = without_layers({one: {4: 10.0, 0: 0.0} for one in blocks}, cost)
    assert found == (None if left is None else {one: 4 if one.layer < left else 0 for one in blocks})


def projection(size: int) -> Projection:
    """Return a projection of four units whose weights fall but for the second's, which are largest."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(64, 4 * size)) + 1
    scales = np.repeat([3.0, 9.0, 2.0, 1.0], size)[:, None]
    return Projection(
        name="output",
        matrix=scales * np.ones((4 * size, 5)),
        bias=np.arange(5.0),
        mean=inputs.mean(axis=0),
        covariance=np.cov(inputs, rowvar=False, bias=True),
        size=size,
    )


@pytest.mark.parametrize("size", [1, 3])
def test_largest_weights_stay_as_they_are(size: int) -> None:
    """The units with the largest norm are kept, rising; neither weights nor bias make up for the others."""
    of = projection(size)
    part = largest(of, 2)
    assert part.units.tolist() == [0, 1]
    assert np.array_equal(part.matrix, of.matrix[: 2 * size])
    assert np.array_equal(part.bias, of.bias)
    assert part.error > keeping(of, part.units).error


def test_all_units_or_none() -> None:
    """With all units nothing is lost; with none the bias is left."""
    of = projection(2)
    assert largest(of, 4).error == 0
    assert largest(of, 0).matrix.shape == (0, 5)
