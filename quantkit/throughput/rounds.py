"""Interleaved rounds: everything once, then everything again, until the ratios are settled or a limit is reached.

A ratio is taken within a round, between passes that ran one after the other, so whatever else slows the machine down
slows both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quantkit.throughput.spread import Spread, spread_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounds:
    """What was measured.

    Attributes:
        rates: for each contestant its rate in every round.
        max_spread: the widest interval, relative to the median, that is settled.
    """

    rates: tuple[tuple[float, ...], ...]
    max_spread: float

    def ratios(self, contestant: int) -> Spread:
        """Sum up a contestant's rate relative to the first one's in the same round."""
        pairs = zip(self.rates[contestant], self.rates[0], strict=True)
        return spread_of([rate / first for rate, first in pairs])

    def noise(self, contestant: int) -> float:
        """Return how unsure a contestant's ratio is: the width of its interval.

        Of a single contestant there is no ratio; there it is its own rate's.
        """
        if len(self.rates) == 1:
            return spread_of(self.rates[0]).width
        return self.ratios(contestant).width

    @property
    def settled(self) -> bool:
        """Whether every contestant's result is sure enough."""
        return all(self.noise(contestant) <= self.max_spread for contestant in range(len(self.rates)))


def measure_rounds(
    measure: Callable[[], Sequence[float]], *, repeats: int, max_repeats: int, max_spread: float
) -> Rounds:
    """Measure all contestants in turns.

    Args:
        measure: runs one round and returns the rate of each contestant. The first call warms up and is not counted:
            memory is taken and pages are read then.
        repeats: the fewest rounds.
        max_repeats: so many rounds are run while the result is not settled.
        max_spread: what is settled; see `Rounds`.
    """
    measure()
    rounds: list[Sequence[float]] = []
    while True:
        rounds.append(measure())
        found = Rounds(rates=tuple(zip(*rounds, strict=True)), max_spread=max_spread)
        if len(rounds) >= repeats and (found.settled or len(rounds) >= max_repeats):
            return found
