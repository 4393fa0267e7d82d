"""Divergence of distributions, and the bound on a ratio of scores."""

import math

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from quantkit.metrics.distributions import divergence, ratio_bound, softmax

NUMBERS = st.floats(-60, 60, width=32)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    """Return logits of two models: a few rows of two outputs."""
    lengths = draw(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=1, max_size=4))
    one, other = (
        [[draw(arrays.arrays(np.float32, length, elements=NUMBERS)) for length in row] for row in lengths]
        for _ in range(2)
    )
    return one, other


@given(rows())
def test_is_the_mean_divergence(pair: tuple[list[list[np.ndarray]], list[list[np.ndarray]]]) -> None:
    """The mean over rows and outputs of what scipy says of the probabilities, and never below 0."""
    reference, found = pair
    each = [
        entropy(softmax(one), softmax(other))
        for wanted, row in zip(reference, found, strict=True)
        for one, other in zip(wanted, row, strict=True)
    ]
    result = divergence(reference, found)
    # Probabilities down to e^-120, of which logarithms are taken in another way.
    assert result == pytest.approx(np.mean(each), rel=1e-9, abs=1e-12)
    assert result >= -1e-15


@given(rows(), st.floats(-50, 50))
def test_shifted_logits_are_the_same_distribution(
    pair: tuple[list[list[np.ndarray]], list[list[np.ndarray]]], shift: float
) -> None:
    """The same logits diverge by exactly 0, and a constant added to all of an output changes nothing."""
    reference, _ = pair
    assert divergence(reference, reference) == 0
    moved = [[row.astype(np.float64) + shift for row in outputs] for outputs in reference]
    assert divergence(reference, moved) == pytest.approx(0, abs=1e-12)


def test_by_hand() -> None:
    """A coin that is fair against one that is 3 : 1 is ln 2 - ln 3 / 2 away; extreme logits overflow nothing."""
    fair, biased = np.float32([0, 0]), np.log(np.array([3.0, 1.0]))
    assert divergence([[fair]], [[biased]]) == pytest.approx(math.log(2) - math.log(3) / 2)
    assert divergence([[fair, fair]], [[biased, fair]]) == pytest.approx((math.log(2) - math.log(3) / 2) / 2)
    far = np.float32([1e4, -1e4])
    assert divergence([[far]], [[far[::-1]]]) == pytest.approx(2e4)


def test_rows_must_be_the_same() -> None:
    """Another number of rows or outputs is an error, not a mean over those that fit."""
    one = np.float32([0, 1])
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        divergence([[one], [one]], [[one]])
    with pytest.raises(ValueError, match="argument 2 is longer"):
        divergence([[one]], [[one, one]])


@given(arrays.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1e4, 1e4, width=32)))
def test_softmax(logits: np.ndarray) -> None:
    """Probabilities are in order of the logits and sum to 1."""
    found = softmax(logits)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (np.diff(found[np.argsort(logits)]) >= 0).all()


SCORES = st.floats(0, 1)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=30), st.floats(0.51, 0.99))
def test_ratio(scores: list[tuple[float, float]], confidence: float) -> None:
    """The ratio is that of the sums; the bound is below it, lower for more confidence, and scales with the score."""
    reference, found = [1 + one for one, _ in scores], [other for _, other in scores]
    ratio, low = ratio_bound(reference, found, confidence=confidence)
    assert ratio == pytest.approx(sum(found) / sum(reference))
    assert low <= ratio
    assert ratio_bound(reference, found, confidence=0.995)[1] <= low
    doubled = ratio_bound(reference, [2 * score for score in found], confidence=confidence)
    assert doubled == pytest.approx((2 * ratio, 2 * low), abs=1e-12)
    same = ratio_bound(reference, reference, confidence=confidence)
    assert same == pytest.approx((1, 1), abs=1e-12)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_bound_is_the_bootstrap_s(confidence: float, seed: int) -> None:
    """For a few hundred correlated scores the bound is the bootstrap's quantile, within a tenth of its distance."""
    random = np.random.default_rng(seed)
    reference = random.beta(5, 1, 400)
    found = np.clip(reference * random.normal(0.995, 0.05, 400), 0, 1)
    ratio, low = ratio_bound(reference.tolist(), found.tolist(), confidence=confidence)
    chosen = random.integers(0, 400, (8000, 400))
    drawn = found[chosen].sum(axis=1) / reference[chosen].sum(axis=1)
    assert ratio - low == pytest.approx(ratio - np.quantile(drawn, 1 - confidence), rel=0.1)


def test_one_example_bounds_nothing() -> None:
    """The spread of a single example is unknown; a reference of nothing has no ratio."""
    assert ratio_bound([0.5], [0.5], confidence=0.9) == (1.0, -math.inf)
    with pytest.raises(ValueError, match="reference score is 0"):
        ratio_bound([0.0, 0.0], [1.0, 0.0], confidence=0.9)


def test_flags_are_coins_of_their_own() -> None:
    """A label's yes and no is the choice between its logit and 0; the mean is over labels."""
    one, other = np.float32([0.5, -2.0, 30.0]), np.float32([1.0, -1.0, -30.0])
    coins = [
        divergence([[np.array([left, 0.0])]], [[np.array([right, 0.0])]])
        for left, right in zip(one, other, strict=True)
    ]
    # Logarithms of the same chances, taken in another way.
    assert divergence([[one]], [[other]], "flags") == pytest.approx(np.mean(coins), rel=1e-9)
    assert divergence([[one]], [[one]], "flags") == 0


def test_numbers_are_apart_by_their_spread() -> None:
    """Half the squared difference over the reference's variance, whatever the scale; a constant is spread by 1."""
    reference, found = ([[np.float64([value])] for value in row] for row in ([0.0, 2.0], [1.0, 2.0]))
    assert divergence(reference, found, "number") == 0.25
    scaled = [[[10 * output for output in row] for row in side] for side in (reference, found)]
    assert divergence(*scaled, "number") == 0.25
    assert divergence(reference[:1], found[:1], "number") == 0.5


def test_directions_are_apart_by_one_less_the_cosine() -> None:
    """0 for the same direction, 1 for a right angle, 2 for the opposite one; length counts for nothing."""
    one, right = np.array([1.0, 0.0]), np.array([0.0, 2.0])
    assert divergence([(one,)], [(3 * one,)], "direction") == 0
    assert divergence([(one,)], [(right,)], "direction") == 1
    assert divergence([(one,), (one,)], [(-one,), (one,)], "direction") == 1
