"""Slots: places that one option each is chosen for, what the options do and use, and what all may use together."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Priced:
    """One option of one slot.

    Attributes:
        damage: predicted, in nats; damages of a solution add up.
        cost: what is to be small, such as microseconds; costs of a solution add up.
        uses: name of a limit → how much of it; what is not named is not used. Amounts add up, and may be negative.
    """

    damage: float
    cost: float
    uses: Mapping[str, float] = field(default_factory=dict)


Slots = Mapping[str, Sequence[Priced]]
"""Slot → its options, in the order that a `Solution` counts them by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What the amounts of one use may sum to: at least so much, at most so much, or between.

    Attributes:
        name: of the use, as in `Priced.uses`.
        at_least: in the unit of the amounts.
        at_most: likewise.
    """

    name: str
    at_least: float = -math.inf
    at_most: float = math.inf

    def __str__(self) -> str:
        """Return what messages call it, such as "parameters at most 1e+08"."""
        bounds = {"at least": self.at_least, "at most": self.at_most}
        told = [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
        return f"{self.name} {' and '.join(told) or 'of any amount'}"

    def allows(self, solution: "Solution") -> bool:
        """Tell whether a solution keeps it."""
        return self.at_least <= solution.uses.get(self.name, 0.0) <= self.at_most


@dataclass(frozen=True, kw_only=True, slots=True)
class Solution:
    """Slot → index of its option, and the sums over all slots."""

    chosen: Mapping[str, int]
    damage: float
    cost: float
    uses: Mapping[str, float] = field(default_factory=dict)


def total(slots: Slots, chosen: Mapping[str, int]) -> Solution:
    """Return a choice with its sums."""
    options = [slots[slot][index] for slot, index in chosen.items()]
    return Solution(
        chosen=dict(chosen),
        damage=sum(option.damage for option in options),
        cost=sum(option.cost for option in options),
        uses={name: sum(option.uses.get(name, 0.0) for option in options) for name in _names(options)},
    )


def _names(options: Iterable[Priced]) -> list[str]:
    """Return the names of all that is used, in the order in which they come."""
    return list(dict.fromkeys(name for option in options for name in option.uses))
