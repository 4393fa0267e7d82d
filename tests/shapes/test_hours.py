"""What a search would take on more machines, by hand."""

import pytest

from quantkit.records.shapes import TrialTimes
from quantkit.shapes.hours import makespan, on_workers


@pytest.mark.parametrize(
    ("workers", "ends"),
    [(1, 16.0), (2, 11.0), (3, 10.0), (64, 8.0)],
)
def test_each_trial_goes_to_the_first_that_is_free(workers: int, ends: float) -> None:
    """In their order: the long one that comes last is waited for, and none is cut."""
    assert makespan([1.0, 3.0, 2.0, 2.0, 8.0], workers) == ends


def test_nothing_takes_nothing() -> None:
    """A part without trials is no time."""
    assert makespan([], 8) == 0.0


def test_parts_follow_each_other() -> None:
    """Candidates wait for all damages, whatever is free."""
    parts = [
        TrialTimes(part="damage", seconds=(2.0, 2.0, 2.0)),
        TrialTimes(part="candidates 1", seconds=(5.0, 4.0)),
    ]
    found = on_workers(parts, 2)
    assert (found.workers, found.seconds) == (2, 9.0)
    assert found.parts == {"damage": 4.0, "candidates 1": 5.0}
