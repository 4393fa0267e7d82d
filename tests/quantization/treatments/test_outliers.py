"""Outlier channels: which they are, what is left without them, and that the product stays the same."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.graph.constants import add_initializer
from quantkit.graph.linear import linear_layers
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.outliers import (
    multiply_outliers,
    outlier_channels,
    remaining_noise,
    without_channels,
    without_rows,
)


def statistics_of(low: Any, high: Any) -> Statistics:
    """Return statistics with these extremes, and numbers that are not zero everywhere else."""
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    channels = len(low)
    return Statistics(
        low=low,
        high=high,
        mean=np.ones(channels),
        square=np.ones(channels),
        tokens=4,
        moment=np.ones((channels, channels), np.float32),
        sample=np.ones((4, channels), np.float32),
    )


def test_without_smoothing_the_widest_are_taken() -> None:
    """What widens the one range is out, whatever the layers make of it."""
    seen = statistics_of([0, -9, 0, -1], [1, 0, 20, 1])
    weight = np.array([[9.0], [0.001], [0.001], [9.0]], np.float32)
    assert outlier_channels(seen, [weight], 2, smoothed=False).tolist() == [1, 2]


def test_with_smoothing_the_layers_weigh_them() -> None:
    """A wide channel that hardly matters keeps its own range; a narrower one that the layers amplify is out."""
    seen = statistics_of([0, 0, 0], [20, 5, 1])
    weights = [np.array([[0.01], [1.0], [1.0]], np.float32), np.array([[0.01], [2.0], [0.0]], np.float32)]
    assert outlier_channels(seen, weights, 1, smoothed=True).tolist() == [1]


def test_remaining_noise_by_hand() -> None:
    """Plain: the square of the narrower range, and the share of the weights; smoothed: of range squared, weighed."""
    seen = statistics_of([-1, -1, -1], [1, 7, 1])
    weight = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], np.float32)
    channels = np.array([1])
    # Widths 8 and 2; |W|^2 in all 4, of which 2 are left.
    assert remaining_noise(seen, [weight], channels, smoothed=False) == pytest.approx((2 / 8) ** 2 * 2 / 4)
    assert remaining_noise(seen, [weight], channels, smoothed=True) == pytest.approx((4 + 4) / (4 + 128 + 4))


@given(data=st.data(), smoothed=st.booleans(), count=st.integers(1, 6))
def test_remaining_noise_is_a_share(data: st.DataObject, smoothed: bool, count: int) -> None:
    """Taking channels out never adds noise, and more of them never leave more."""
    numbers = st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6)
    ends = np.sort(np.array([data.draw(numbers), data.draw(numbers)], np.float32), axis=0)
    seen = statistics_of(*ends)
    weight = np.array([data.draw(numbers), data.draw(numbers)], np.float32).T
    left = [
        remaining_noise(
            seen, [weight], outlier_channels(seen, [weight], taken, smoothed=smoothed), smoothed=smoothed
        )
        for taken in (count - 1, count)
    ]
    assert 0 <= left[1] <= left[0] * (1 + 1e-6) <= 1 + 1e-5


def test_statistics_without_channels() -> None:
    """Everything of these channels is zero, nothing else is touched, and the original stays."""
    seen = statistics_of([-1, -2, -3], [1, 2, 3])
    found = without_channels(seen, np.array([1]))
    assert found.moment is not None
    assert found.sample is not None
    assert found.moment.tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert found.sample.tolist() == [[1, 0, 1]] * 4
    assert (found.low.tolist(), found.high.tolist()) == ([-1, 0, -3], [1, 0, 3])
    assert (found.mean.tolist(), found.square.tolist()) == ([1, 0, 1], [1, 0, 1])
    assert seen.moment is not None
    assert seen.moment.sum() == 9
    assert seen is without_channels(seen, np.array([], np.int64))


@pytest.mark.parametrize("channels", [[3], [0, 7, 31]])
def test_the_product_stays(bench: Any, channels: list[int]) -> None:
    """The layers without the rows and the float product of the rows are the layers; both read one Gather."""
    weights = {f"{name}_weight": bench.normal(32, 8, seed=seed) for seed, name in enumerate(("a", "b"))}
    weights["words_weight"] = bench.normal(40, 32, seed=5)
    body = "x = Gather (words_weight, input_ids) one = MatMul (x, a_weight) two = MatMul (x, b_weight)"
    model: ir.Model = bench.build(f"{body} logits = Add (one, two)", weights)
    expected = bench.compute(model)
    layers, chosen = linear_layers(model.graph), np.array(channels)
    multiply_outliers(model.graph, layers, chosen)
    for layer in layers:
        rest = add_initializer(model.graph, f"{layer.name}.rest", without_rows(layer.matrix(), chosen))
        layer.node.replace_input_with(1, rest)
    names = [layer.name for layer in linear_layers(model.graph)]
    assert names == ["a.outliers", "a", "b.outliers", "b"]
    assert sum(node.name == "a.input_outliers" for node in model.graph) == 1
    np.testing.assert_allclose(bench.compute(model), expected, atol=1e-5, rtol=0)
