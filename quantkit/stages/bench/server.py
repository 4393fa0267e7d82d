"""Server: queries arrive at random, and 99 % of them must be answered within the bound.

What is measured is the highest rate that holds. The first round finds it roughly, from the throughput offline
downwards; each later round finds it again, from where it was, with another pattern of arrivals. Within a round the
artifacts take turns, trial by trial.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from quantkit.errors import UsageError
from quantkit.recipe.settings import BenchSettings
from quantkit.throughput import HighestRate, Trial, Workload, highest_rates, lone_latency, serve

_FIRST_STEPS, _STEPS = 6, 3
_FIRST_FACTOR, _FACTOR = 1.6, 1.1
_FULL = 0.6
"""A server waits for queries that make a batch: where the trials begin, as a share of the throughput offline."""


class Server:
    """The highest rate of random arrivals that is held; see `Scenario`."""

    one_by_one: ClassVar[bool] = False

    def __init__(self, loads: Sequence[Workload], settings: BenchSettings) -> None:
        self._loads = loads
        self._bound = settings.latency_bound / 1000
        self._seed = settings.seed
        self._rates: list[float] = []

    @property
    def passes(self) -> int:
        """About as many as there are trials."""
        return _STEPS * len(self._loads)

    def measure(self, advance: Callable[[int], None]) -> list[float]:
        """Find each artifact's highest rate."""
        known = bool(self._rates)
        if known:
            sought = [HighestRate(rate, factor=_FACTOR, steps=_STEPS) for rate in self._rates]
        else:
            self._require_possible()
            sought = [
                HighestRate(_FULL * load.offline_rate(), factor=_FIRST_FACTOR, steps=_FIRST_STEPS)
                for load in self._loads
            ]
        self._seed += 1

        def try_rate(index: int, rate: float) -> Trial:
            return serve(self._loads[index], rate=rate, bound=self._bound, seed=self._seed)

        highest_rates(sought, try_rate, lambda: advance(1))
        self._rates = []
        for load, found in zip(self._loads, sought, strict=True):
            if found.best is None:
                raise self._impossible(load, f"at {found.rate:.2g} questions per second either")
            if known:
                load.latencies += found.best.latencies
            self._rates.append(found.best.rate)
        return list(self._rates)

    def _require_possible(self) -> None:
        for load in self._loads:
            alone = lone_latency(load)
            if alone > self._bound:
                raise self._impossible(load, f"with one question at a time either ({1000 * alone:.3g} ms)")

    def _impossible(self, load: Workload, when: str) -> UsageError:
        return UsageError(
            f"--latency-bound {1000 * self._bound:g}: {load.engine.name} does not hold it {when}; "
            "allow more time, or give an instance more threads"
        )
