"""Candidates: the bound on what one lost, from its own score or from its divergence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.exam.marks import Marks
from quantkit.mixed_precision.candidate import expected_ratio_of


def marks(divergence: float, expected: float, low: float) -> Marks:
    return Marks(
        divergence=divergence,
        changed=0.0,
        score=80.0,
        ratio=expected,
        expected_ratio=expected,
        expected_ratio_low=low,
    )


def test_alone_its_own_bound_counts() -> None:
    """One candidate says nothing of a rate but its own."""
    own = marks(0.01, 0.99, 0.98)
    assert expected_ratio_of(own, [own]).low == pytest.approx(0.98, abs=1e-12)


def test_small_loss_is_bounded_by_divergence() -> None:
    """A tenth of the divergence is a tenth of the most that the most divergent may have lost."""
    coarse, fine = marks(0.01, 0.99, 0.98), marks(0.001, 1.0, 0.995)
    assert expected_ratio_of(fine, [coarse, fine]).low == pytest.approx(1 - 0.002, abs=1e-12)


def test_collapsed_candidate_gives_no_rate() -> None:
    """A loss of more than 5 % does not grow in proportion any more."""
    collapsed, fine = marks(5.0, 0.4, 0.3), marks(0.001, 1.0, 0.995)
    assert expected_ratio_of(fine, [collapsed, fine]).low == pytest.approx(0.995, abs=1e-12)
    assert expected_ratio_of(collapsed, [collapsed]).low == 0.3


def test_same_answers_need_no_rate() -> None:
    """A candidate that diverges by nothing has its own bound."""
    same = marks(0.0, 1.0, 1.0)
    assert expected_ratio_of(same, [same]).low == 1.0


@given(
    st.lists(
        st.builds(
            lambda divergence, expected, width: marks(divergence, expected, expected - width),
            st.floats(0, 1),
            st.floats(0.3, 1.1),
            st.floats(0, 0.1),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_bound_is_never_worse_than_its_own(seen: list[Marks]) -> None:
    """The better bound counts, and the one by divergence never promises a gain."""
    bound = expected_ratio_of(seen[-1], seen).low
    assert seen[-1].expected_ratio_low <= bound
    assert bound <= max(1.0, seen[-1].expected_ratio_low)
