"""What whole candidates say of damages that do not add up."""

import pytest

from quantkit.shapes.correct import factors


def test_without_candidates_nothing_is_corrected() -> None:
    """Every factor is 1."""
    assert factors([], [], ["a", "b"]) == {"a": 1.0, "b": 1.0}


def test_twice_the_damage_is_twice_everywhere() -> None:
    """One candidate moves all factors together."""
    found = factors([{"a": 0.1, "b": 0.1}], [0.4], ["a", "b"])
    assert found == pytest.approx({"a": 2.0, "b": 2.0}, rel=1e-9)


def test_the_slot_that_was_wrong_is_corrected_most() -> None:
    """Two candidates tell which of two slots was underestimated."""
    found = factors([{"a": 0.1, "b": 0.0}, {"a": 0.0, "b": 0.1}], [0.3, 0.1], ["a", "b"])
    assert found["a"] > 1.5 * found["b"]
