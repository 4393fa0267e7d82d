"""Finalists: who is timed once more, and who is chosen by that."""

from typing import Any

import pytest

from quantkit.mixed_precision.finalists import elected, finalists
from quantkit.records import CandidateRecord


def record(number: int, throughput: float, **changes: Any) -> CandidateRecord:
    """Return a candidate that passed; its predicted cost grows with its number, its divergence falls."""
    values: dict[str, Any] = {
        "number": number,
        "origin": "any",
        "choices": {},
        "predicted_damage": 0.0,
        "predicted_cost_us": 100.0 + number,
        "divergence": 1.0 / (1 + number),
        "changed": 0.0,
        "score": 80.0,
        "ratio": 1.0,
        "expected_ratio": 1.0,
        "expected_ratio_low": 1.0,
        "throughput": throughput,
        "throughput_spread": (throughput - 0.01, throughput + 0.01),
        "int8_coverage": 1.0,
        "size_bytes": 1,
        "passed": True,
    }
    return CandidateRecord.model_validate({**values, **changes})


def test_finalists_are_those_that_contradict_the_result() -> None:
    """The result, who seemed faster and passed, the one of the fastest options, and who seemed fastest of all."""
    records = [
        record(0, 1.48),
        record(1, 2.1),
        record(2, 2.3),
        record(3, 2.2),
        record(4, 2.45, passed=False),
    ]
    assert finalists(records, 1) == (1, 2, 0, 4)


def test_one_candidate_has_no_rival() -> None:
    """There is nothing to be timed with."""
    assert finalists([record(0, 2.0)], 0) == (0,)


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        # Nobody is slower by more than the slack: the least divergent.
        ((2.40, 2.38, 2.35), 2),
        # It is clearly slower than the fastest.
        ((2.40, 2.38, 1.48), 1),
        ((2.45, 1.48, 1.50), 0),
    ],
)
def test_the_result_is_chosen_by_what_was_timed_together(speeds: tuple[float, ...], expected: int) -> None:
    """Who is slower than the fastest by more than the slack is not the result, whatever was predicted."""
    records = [record(number, speed) for number, speed in enumerate(speeds)]
    assert elected(records, 1, slack=0.05) == expected


def test_what_cannot_be_told_apart_is_no_slower() -> None:
    """Where spreads overlap, the less divergent one is chosen."""
    records = [
        record(0, 2.4, throughput_spread=(1.9, 2.6)),
        record(1, 2.0, throughput_spread=(1.8, 2.1)),
    ]
    assert elected(records, 0, slack=0.0) == 1


def test_what_missed_the_target_is_not_chosen_for_its_speed() -> None:
    """Of those that passed only; and where none did, the one that came nearest stays."""
    passed, missed = record(0, 1.5), record(1, 2.4, passed=False)
    assert elected([passed, missed], 0, slack=0.05) == 0
    assert elected([record(0, 2.0, passed=False), missed], 0, slack=0.05) == 0
