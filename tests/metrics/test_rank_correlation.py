"""Correlations agree with scipy, also over ties and numbers that count several times."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr

from quantkit.metrics.rank_correlation import pearson, ranks, spearman

SMALL = st.integers(-4, 4).map(float)
ROWS = st.lists(st.tuples(SMALL, SMALL, st.integers(0, 3)), min_size=4, max_size=12)


@given(ROWS)
def test_weights_are_repetitions_as_scipy_counts_them(rows: list[tuple[float, float, int]]) -> None:
    """What scipy says of the numbers written out, ties included; 0 where scipy has none, for a constant side."""
    one, other, weights = np.array(rows, dtype=np.float64).T
    times = weights.astype(int)
    left, right = np.repeat(one, times), np.repeat(other, times)
    constant = len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0
    wanted = (0.0, 0.0) if constant else (pearsonr(left, right)[0], spearmanr(left, right)[0])
    found = float(pearson(one, other, weights)), float(spearman(one, other, weights))
    assert found == pytest.approx(wanted, abs=1e-9)


def test_resamples_at_once_are_each_alone() -> None:
    """A matrix of weights gives what each of its rows gives."""
    generator = np.random.default_rng(3)
    one, other = generator.normal(size=(2, 20)).round(1)
    weights = generator.multinomial(20, np.full(20, 1 / 20), size=7).astype(np.float64)
    assert spearman(one, other, weights).tolist() == [float(spearman(one, other, row)) for row in weights]
    assert pearson(one, other, weights).tolist() == [float(pearson(one, other, row)) for row in weights]


def test_equal_numbers_have_the_mean_of_their_ranks() -> None:
    """As scipy's `rankdata`."""
    values = np.array([3.0, 1.0, 3.0, 2.0, 1.0, 3.0])
    assert ranks(values).tolist() == rankdata(values).tolist()
