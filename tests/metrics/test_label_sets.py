"""F1 of label sets, by hand."""

import itertools
import math

import numpy as np
import pytest

from quantkit.metrics.label_sets import counts, expected_set_f1, label_f1, macro_f1, micro_f1, set_f1


def test_of_one_text() -> None:
    """Both empty is right, one empty is wrong, and half is half."""
    assert set_f1(set(), set()) == 1.0
    assert set_f1({1}, set()) == set_f1(set(), {1}) == 0.0
    assert set_f1({0, 1}, {1, 2}) == 0.5


def test_micro_and_macro() -> None:
    """Micro counts all labels together, macro is the mean of the labels, of which one that never occurs has 0."""
    texts = [({0, 1}, {0}), ({0}, {0}), ({1}, {0, 1})]
    totals = np.sum([counts(given, right, 3) for given, right in texts], axis=0)
    assert totals.tolist() == [2, 0, 1, 1, 1, 0, 0, 0, 0]
    # Each is a quotient of small integers.
    assert label_f1(totals).tolist() == pytest.approx([4 / 5, 2 / 3, 0.0], rel=1e-15)
    assert float(micro_f1(totals)) == pytest.approx(6 / 8, rel=1e-15)
    assert float(macro_f1(totals)) == pytest.approx((4 / 5 + 2 / 3) / 3, rel=1e-15)
    assert micro_f1(np.stack([totals, totals])).shape == (2,)


@pytest.mark.parametrize("right", [set(), {1}, {0, 2}])
def test_expected_f1_is_the_mean_over_all_draws(right: set[int]) -> None:
    """Every set of labels by its chance, times its F1."""
    chances = np.array([0.1, 0.6, 0.9])
    wanted = math.fsum(
        set_f1({label for label in range(3) if flags[label]}, right)
        * math.prod(chance if flag else 1 - chance for flag, chance in zip(flags, chances, strict=True))
        for flags in itertools.product((False, True), repeat=3)
    )
    # Sums of products of three numbers.
    assert expected_set_f1(chances, right) == pytest.approx(wanted, rel=1e-12)
