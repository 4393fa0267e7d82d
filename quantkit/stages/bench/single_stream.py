"""Single-stream: the next query comes when the last one was answered."""

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from quantkit.recipe.settings import BenchSettings
from quantkit.throughput import Workload


class SingleStream:
    """One window after the other; see `Scenario`."""

    one_by_one: ClassVar[bool] = True

    def __init__(self, loads: Sequence[Workload], settings: BenchSettings) -> None:
        del settings
        self._loads = loads
        self._warm = False

    @property
    def passes(self) -> int:
        """One for each artifact."""
        return len(self._loads)

    def measure(self, advance: Callable[[int], None]) -> list[float]:
        """Run all windows through each artifact; the latencies of the first round are not kept."""
        rates = []
        for load in self._loads:
            latencies = _latencies(load)
            if self._warm:
                load.latencies += latencies
            rates.append(len(latencies) / sum(latencies))
            advance(1)
        self._warm = True
        return rates


def _latencies(load: Workload) -> list[float]:
    latencies = []
    for feeds in load.feeds:
        started = time.perf_counter()
        load.engine.submit(feeds).result()
        latencies.append(time.perf_counter() - started)
    return latencies
