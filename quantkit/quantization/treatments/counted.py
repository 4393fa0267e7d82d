"""Treatments of so many channels: a number that is given, or that calibration has yet to settle."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Choice, Treatment
from quantkit.quantization.observe.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Counted(Treatment):
    """A treatment of `count` channels; "auto": as many as `found` finds worth it.

    Attributes:
        word: what its label begins with.
    """

    count: int | Literal["auto"]
    per_layer: ClassVar[bool] = True
    word: ClassVar[str]

    @classmethod
    def asked(cls, value: int | Literal["auto"]) -> Self:
        """Return the treatment that a setting's value asks for."""
        return cls(value)

    @property
    def value(self) -> int | str:
        """The count."""
        return self.count

    @property
    def label(self) -> str:
        """Word and count; empty while it is open."""
        return "" if self.open else f"{self.word} {self.count}"

    @property
    def open(self) -> bool:
        """Whether calibration has yet to settle the count."""
        return self.count == "auto"

    @property
    def known(self) -> int:
        """The count, of one that is not open."""
        assert self.count != "auto"
        return self.count

    def settled(self, layers: Sequence[Linear], seen: Statistics, choice: Choice) -> Self | None:
        """Return it with the count that is found; None where that is none."""
        if not self.open:
            return self
        count = self.found(layers, seen, choice)
        return replace(self, count=count) if count else None

    @abstractmethod
    def found(self, layers: Sequence[Linear], seen: Statistics, choice: Choice) -> int:
        """Return how many channels are worth it for layers that read one tensor; 0 for none."""
