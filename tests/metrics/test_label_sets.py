"""F1 of label sets, by hand."""

import numpy as np
import pytest

from quantkit.metrics.label_sets import counts, label_f1, macro_f1, micro_f1, set_f1


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
