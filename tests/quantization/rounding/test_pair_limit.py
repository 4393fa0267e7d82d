"""The pair limit: every rounding keeps it, and what it costs is less than a bit."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.graph.pairs import extreme_pair_sums, keeps_pair_limit
from quantkit.quantization.grids import GRIDS
from quantkit.quantization.rounding import ROUNDINGS, Problem, channel_errors

PAIRS, INT7, INT8 = GRIDS["int8-pairs"], GRIDS["int7"], GRIDS["int8"]
every_rounding = pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)

# Few different magnitudes, so that pairs of equal ones, halves between two levels and zeros come up often.
adversarial = st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.5, 63.5, 64.0, 64.5, 127.0, -127.0, 1e-30, 3e4, -3e4])
matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 11), st.integers(1, 5)),
    elements=adversarial | st.floats(-300, 300, width=32),
)


def problem_of(matrix: np.ndarray, *, seed: int = 0, per_channel: bool = True) -> Problem:
    """Return a weight on the grid, with the moments of correlated inputs whose order is not that of the rows."""
    random = np.random.default_rng(seed)
    inputs = len(matrix)
    x = random.normal(size=(30, inputs)) @ random.normal(size=(inputs, inputs))
    x *= random.uniform(0.1, 3, inputs)
    return Problem(name="w", matrix=matrix, moment=x.T @ x, per_channel=per_channel, grid=PAIRS)


@every_rounding
@given(matrix=matrices, seed=st.integers(0, 1000), per_channel=st.booleans())
def test_every_pair_keeps_the_limit(rounding, matrix: np.ndarray, seed: int, per_channel: bool) -> None:
    """No two neighbours of one sign exceed it together: with one row, odd rows, columns of zeros, and equal weights."""
    found = rounding(problem_of(matrix, seed=seed, per_channel=per_channel))
    assert keeps_pair_limit(found.values), extreme_pair_sums(found.values)
    assert np.abs(found.values.astype(int)).max() <= PAIRS.limit


@given(matrix=matrices)
def test_scale_is_the_least_that_fits(matrix: np.ndarray) -> None:
    """A column's scale is that of its largest weight, or of its largest sum of two neighbours over 128."""
    expected = []
    for column in matrix.astype(np.float64).T:
        pairs = [column[begin : begin + 2] for begin in range(0, len(column), 2)]
        sums = [abs(pair[sign * pair > 0].sum()) for pair in pairs for sign in (1, -1)]
        scale = max(np.abs(column).max() / 127, max(sums) / 128)
        expected.append(scale if scale >= np.finfo(np.float32).tiny else 1.0)
    np.testing.assert_allclose(PAIRS.scales(matrix), expected, rtol=1e-6)


@given(matrix=matrices)
def test_finer_than_seven_bits(matrix: np.ndarray) -> None:
    """Steps are those of 8 bits at best, and never larger than those of 7."""
    # Steps that float32 does not hold are 1.
    held = INT8.reach(matrix) > 1e-30
    found = PAIRS.scales(matrix)[held]
    assert (INT8.scales(matrix)[held] <= found).all()
    assert (found <= INT7.scales(matrix)[held] * (1 + 1e-6)).all()


@every_rounding
def test_error_is_less_than_that_of_seven_bits(rounding) -> None:
    """On weights like a layer's the expected squared error is less than half of that of 7 bits."""
    matrix = np.random.default_rng(3).normal(size=(257, 40)).astype(np.float32)
    asked = problem_of(matrix)
    found, coarse = (
        rounding(asked),
        rounding(Problem(name="w", matrix=matrix, moment=asked.moment, grid=INT7)),
    )
    assert channel_errors(asked, found).sum() < 0.5 * channel_errors(asked, coarse).sum()


@pytest.mark.parametrize(
    "scaled", [[[70.0], [69.6]], [[-70.0], [-69.6]], [[127.0], [126.0]], [[200.0], [5.0]]]
)
def test_two_that_exceed_it_end_nearest_to_both(scaled: list[list[float]]) -> None:
    """Of all levels within the limit those are taken whose squared distance is least."""
    wanted = np.array(scaled)
    sign = int(np.sign(wanted[0, 0]))
    first, second = PAIRS.nearest(wanted)[:, 0]
    candidates = [(sign * one, sign * (128 - one)) for one in range(1, 128)]
    distances = [(one - wanted[0, 0]) ** 2 + (other - wanted[1, 0]) ** 2 for one, other in candidates]
    assert (first - wanted[0, 0]) ** 2 + (second - wanted[1, 0]) ** 2 == pytest.approx(min(distances))
    assert (first, second) in candidates


def test_the_second_of_a_pair_takes_what_is_left() -> None:
    """Beside 100 a weight is at most 28, and as far below zero as the grid goes; beside -127 at least -1."""
    taken = np.array([100.0, 100.0, -127.0, 0.0])
    found = PAIRS.nearest_beside(np.array([50.0, -200.0, -50.0, 500.0]), taken)
    assert found.tolist() == [28, -127, -1, 127]
    assert PAIRS.nearest_beside(np.array([200.0]), None).tolist() == [127]
    assert INT8.nearest_beside(np.array([50.0]), np.array([100.0])).tolist() == [50]
