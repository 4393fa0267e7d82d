"""Work: how much is done, and how long the rest takes."""

import pytest

from quantkit.progress import work as module
from quantkit.progress.work import Parts, Whole, Work


class _Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """Return the clock that works look at."""
    made = _Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_time_left_is_that_of_the_pace(clock: _Clock) -> None:
    """Ten of forty units in five seconds: the others take fifteen."""
    work = Work("evaluate", 40, "windows")
    clock.now += 5
    work.advance(10)
    assert (work.left, work.speed, work.numbers) == (15.0, 2.0, "10/40 windows")


def test_units_done_before_say_nothing_of_the_speed(clock: _Clock) -> None:
    """Work that goes on where it was begins with what it had."""
    work = Work("distil", 100, "steps")
    work.advance(50)
    clock.now += 10
    work.advance(5)
    assert work.left == 90.0


def test_one_that_is_not_counted_is_as_far_as_what_is_inside(clock: _Clock) -> None:
    """Two works inside, of which one ended and one is halfway: three quarters."""
    parts, first, second = Parts("candidate", 2), Work("select", 4), Work("time", 4)
    parts.enter(first)
    parts.leave()
    parts.enter(second)
    second.advance(2)
    assert parts.share == 0.75
    assert clock.now == 100.0


def test_later_phases_take_as_long_as_those_before_let_expect(clock: _Clock) -> None:
    """A phase of weight 1 took ten seconds, half of one of weight 2 twenty: half of it and one of weight 3 are left."""
    whole = Whole("auto", {"calibrate": 1, "damages": 2, "candidates": 3})
    whole.enter(Parts("calibrate"))
    clock.now += 10
    whole.leave()
    damages, passes = Parts("damages"), Work("sensitivity", 4, "passes")
    whole.enter(damages)
    damages.enter(passes)
    clock.now += 20
    passes.advance(2)
    assert whole.share == pytest.approx(2 / 6, abs=1e-12)
    # 20 s of this phase; 3 weights at 30 s for 1 + 1 of them.
    assert whole.left == pytest.approx(20 + 45, abs=1e-9)
    assert whole.label == "auto: damages: sensitivity 2/4 passes"


def test_what_was_remembered_counts_as_done_and_not_as_fast(clock: _Clock) -> None:
    """A phase that took no time says nothing of how long others take."""
    whole = Whole("auto", {"calibrate": 5, "damages": 5})
    whole.enter(Parts("calibrate"))
    whole.leave()
    damages, passes = Parts("damages"), Work("sensitivity", 10)
    whole.enter(damages)
    damages.enter(passes)
    assert (whole.share, whole.left) == (0.5, None)
    clock.now += 10
    passes.advance(1)
    assert whole.left == pytest.approx(90, abs=1e-9)


def test_a_word_is_not_said_twice() -> None:
    """Work inside of a phase of the same name shows once."""
    whole, phase = Whole("auto", {"calibrate": 1}), Parts("calibrate")
    whole.enter(phase)
    phase.enter(Work("calibrate", 60, "windows"))
    assert whole.label == "auto: calibrate 0/60 windows"


def test_more_than_was_foreseen_is_no_fraction_above_one() -> None:
    """A bench that is not sure yet makes further passes."""
    one = Work("bench", 12, "passes")
    one.advance(18)
    assert (one.numbers, one.share) == ("18/18 passes", 1.0)
