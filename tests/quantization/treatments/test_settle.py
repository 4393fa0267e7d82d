"""What calibration settles: outlier channels and copies where they are worth it, and nowhere else."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.outliers import Outliers
from quantkit.quantization.treatments.settle import settled
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split


def seen(magnitude: np.ndarray) -> Statistics:
    """Return statistics of channels between - and + these."""
    return Statistics(
        low=-magnitude,
        high=magnitude,
        mean=np.zeros_like(magnitude),
        square=np.ones_like(magnitude),
        tokens=100,
    )


@pytest.fixture
def layers(bench: Any) -> list[Linear]:
    """Return the layers a and b of x, c of y, d of z, e of w and f of that: 128 channels, but z has 32, f reads 100."""
    weights = {f"{name}_weight": bench.normal(128, 4, seed=seed) for seed, name in enumerate("abc")}
    weights |= {"words_weight": bench.normal(40, 128), "names_weight": bench.normal(40, 128, seed=4)}
    weights |= {"d_weight": bench.normal(32, 4, seed=5), "few_weight": bench.normal(40, 32, seed=6)}
    weights |= {"e_weight": bench.normal(128, 100, seed=7), "many_weight": bench.normal(40, 128, seed=8)}
    weights |= {"sum_weight": bench.normal(100, 4, seed=9)}
    model: ir.Model = bench.build(
        "x = Gather (words_weight, input_ids) y = Gather (names_weight, input_ids) "
        "z = Gather (few_weight, input_ids) one = MatMul (x, a_weight) two = MatMul (x, b_weight) "
        "three = MatMul (y, c_weight) four = MatMul (z, d_weight) w = Gather (many_weight, input_ids) "
        "wide = MatMul (w, e_weight) five = MatMul (wide, sum_weight) logits = Sum (one, two, three, four, five)",
        weights,
    )
    found = linear_layers(model.graph)
    for layer, name in zip(found, "abcdef", strict=True):
        layer.node.name = name
    return found


@pytest.mark.parametrize("smooth", [(), (Smooth(),)], ids=["plain", "smooth"])
def test_eight_where_they_stick_out(layers: list[Linear], smooth: Any) -> None:
    """Eight channels 20 times as wide are out for both their readers; even or few channels stay, and many outputs."""
    even, wide, few = (np.ones(count, np.float32) for count in (128, 128, 32))
    wide[8:16] = few[:8] = 20
    tensors = {"x": seen(wide), "y": seen(even), "z": seen(few), "w": seen(wide), "wide": seen(even[:100])}
    choice = Choice(scheme="static", treatments=(Outliers("auto"), *smooth))
    found = settled(layers, dict.fromkeys("abcdef", choice), tensors)
    eight = (Outliers(8), *smooth)
    assert {name: eight if name in "ab" else smooth for name in "abcdef"} == {
        name: one.treatments for name, one in found.items()
    }


def test_copies_where_the_layer_before_can_make_them(layers: list[Linear]) -> None:
    """A channel that sticks out is copied between two layers; not behind anything else, nor when all are alike."""
    even, wide, hidden = (np.ones(count, np.float32) for count in (128, 128, 100))
    wide[8] = hidden[8] = 40
    tensors = {"x": seen(wide), "y": seen(even), "z": seen(even[:32]), "w": seen(wide), "wide": seen(hidden)}
    choice = Choice(scheme="static", treatments=(Split("auto"), Smooth()))
    open_choices = dict.fromkeys("abcdef", choice)
    found = settled(layers, open_choices, tensors)
    assert {"f": (Split(16), Smooth())} | dict.fromkeys("abcde", (Smooth(),)) == {
        name: one.treatments for name, one in found.items()
    }
    alike = settled(layers, open_choices, tensors | {"wide": seen(even[:100])})
    assert {(Smooth(),)} == {one.treatments for one in alike.values()}


def test_what_is_settled_stays(layers: list[Linear]) -> None:
    """Numbers that were given, and layers that are float, are as they were, and need no statistics."""
    given = {
        "a": Choice(scheme="static", treatments=(Outliers(3),)),
        "b": FLOAT,
        "c": Choice(scheme="dynamic"),
    } | dict.fromkeys("def", FLOAT)
    assert given == settled(layers, given, {})
