"""What a scenario is, and which there are."""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from quantkit.recipe.settings import BenchSettings
from quantkit.tables import SCENARIOS as _TABLE
from quantkit.throughput import Workload


class Scenario(Protocol):
    """Measures all artifacts once per round.

    Attributes:
        one_by_one: a query runs by itself: it is a batch of its own, and gets all threads unless told otherwise.
        passes: about how often a round calls `advance`.
    """

    one_by_one: ClassVar[bool]

    def __init__(self, loads: Sequence[Workload], settings: BenchSettings) -> None: ...

    @property
    def passes(self) -> int: ...  # noqa: D102 - see Attributes

    def measure(self, advance: Callable[[int], None]) -> list[float]:
        """Run one round and return each artifact's queries per second."""


SCENARIOS: Mapping[str, type[Scenario]] = _TABLE.loaded()
"""`BenchSettings.scenario` → its class. A scenario is one file and one line in `quantkit.tables.SCENARIOS`."""
