"""Offline: everything is there at once, and the machine is kept full."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from quantkit.recipe.settings import BenchSettings
from quantkit.throughput import Workload


class Offline:
    """All windows in batches, as many at once as there are instances; see `Scenario`."""

    one_by_one: ClassVar[bool] = False

    def __init__(self, loads: Sequence[Workload], settings: BenchSettings) -> None:
        del settings
        self._loads = loads

    @property
    def passes(self) -> int:
        """One for each artifact."""
        return len(self._loads)

    def measure(self, advance: Callable[[int], None]) -> list[float]:
        """Run all windows through each artifact."""
        rates = []
        for load in self._loads:
            rates.append(load.offline_rate())
            advance(1)
        return rates
