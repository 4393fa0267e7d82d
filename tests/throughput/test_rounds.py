"""Rounds go on while the ratios are not sure, up to a limit; a round that was slow for all moves no ratio."""

from collections.abc import Sequence

from quantkit.throughput.rounds import Rounds, measure_rounds


class Machine:
    """Rates of two contestants, round by round; the first round is the warm-up."""

    def __init__(self, rounds: Sequence[Sequence[float]]) -> None:
        self.rounds = list(rounds)
        self.calls = 0

    def __call__(self) -> Sequence[float]:
        """Run a round."""
        self.calls += 1
        return self.rounds[min(self.calls, len(self.rounds)) - 1]


def measured(rounds: Sequence[Sequence[float]], max_spread: float = 0.1) -> tuple[Rounds, int]:
    """Return what three to six rounds make of these rates, and how many were run."""
    machine = Machine(rounds)
    return measure_rounds(machine, repeats=3, max_repeats=6, max_spread=max_spread), machine.calls


def test_warm_up_does_not_count() -> None:
    """The first round is thrown away; three that agree are enough."""
    found, calls = measured([(1, 99), (10, 20), (10, 20), (10, 20)])
    assert (calls, found.rates, found.settled) == (4, ((10, 10, 10), (20, 20, 20)), True)
    assert found.ratios(1).median == 2.0


def test_ratios_are_taken_within_rounds() -> None:
    """A round that was slow for both does not move the ratio, nor make it unsure."""
    found, _ = measured([(1, 1), (10, 20), (1, 2), (10, 20)])
    assert (found.ratios(1).median, found.noise(1), found.settled) == (2.0, 0.0, True)
    assert (found.ratios(0).median, found.noise(0)) == (1.0, 0.0)


def test_more_rounds_until_settled() -> None:
    """Rounds are added while the interval is too wide, and end as soon as it is not."""
    found, calls = measured([(1, 1), (10, 20), (10, 30), (10, 20)])
    assert (calls, found.settled) == (7, False)
    assert len(found.rates[0]) == 6
    wide, calls = measured([(1, 1), (10, 20), (10, 30), (10, 20)], max_spread=0.6)
    assert (calls, wide.settled) == (4, True)


def test_one_contestant_is_judged_by_its_rate() -> None:
    """There is no ratio then: the spread of the throughput itself decides."""
    assert measured([(1,), (10,), (10,), (10,)])[0].settled
    assert not measured([(1,), (10,), (20,), (10,), (20,)])[0].settled
