"""What calibration settles: outlier channels where they are worth it, and nowhere else."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.evidence import Evidence
from quantkit.quantization.settle import settled
from quantkit.quantization.statistics import Statistics

OPEN = Choice(scheme="static", find_outliers=True)


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
    """Return the layers a and b of a tensor x, c of y, both of 128 channels, and d of z with 32."""
    weights = {f"{name}_weight": bench.normal(128, 4, seed=seed) for seed, name in enumerate("abc")}
    weights |= {"words_weight": bench.normal(40, 128), "names_weight": bench.normal(40, 128, seed=4)}
    weights |= {"d_weight": bench.normal(32, 4, seed=5), "few_weight": bench.normal(40, 32, seed=6)}
    model: ir.Model = bench.build(
        "x = Gather (words_weight, input_ids) y = Gather (names_weight, input_ids) "
        "z = Gather (few_weight, input_ids) one = MatMul (x, a_weight) two = MatMul (x, b_weight) "
        "three = MatMul (y, c_weight) four = MatMul (z, d_weight) logits = Sum (one, two, three, four)",
        weights,
    )
    found = linear_layers(model.graph)
    for layer, name in zip(found, "abcd", strict=True):
        layer.node.name = name
    return found


@pytest.mark.parametrize("smooth", [None, "auto"])
def test_eight_where_they_stick_out(layers: list[Linear], smooth: Any) -> None:
    """Eight channels 20 times as wide are out for both layers that read them; even and narrow tensors stay whole."""
    even, wide, few = (np.ones(count, np.float32) for count in (128, 128, 32))
    wide[8:16] = few[:8] = 20
    evidence = Evidence(statistics={"x": seen(wide), "y": seen(even), "z": seen(few)})
    choice = Choice(scheme="static", smooth=smooth, find_outliers=True)
    found = settled(layers, dict.fromkeys("abcd", choice), evidence)
    assert {"a": 8, "b": 8, "c": 0, "d": 0} == {name: one.outliers for name, one in found.items()}
    assert not any(one.find_outliers for one in found.values())


def test_what_is_settled_stays(layers: list[Linear]) -> None:
    """Numbers that were given, and layers that are float, are as they were, and need no statistics."""
    given = {"a": Choice(scheme="static", outliers=3), "b": FLOAT, "c": Choice(scheme="dynamic"), "d": FLOAT}
    assert given == settled(layers, given, Evidence(statistics={}))
