"""Slots: blocks with their options for the solver: damage, price, and what limits ask of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantkit.allocation.slots import Limit, Priced, Solution
from quantkit.allocation.solver import least_damage_within
from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import InFloat, Option, units_of

PARAMETERS, SIZE = "parameters", "bytes"
COVERAGE = "INT8 multiplications"
"""The use that is 0 or more where enough of all blocks' multiplications are INT8."""
PRESENT = {"attention": "attention blocks", "feed_forward": "feed-forward blocks"}
"""Kind of block → the use that counts those that are there; a model needs one of each."""
_WEIGHT_BYTES, _OUTPUT_BYTES = 1, 9
"""Of an INT8 layer: its weights; and for each output a scale, a zero point and a float bias."""
_FLOAT_BYTES = 4
"""Of a float layer: each weight, and each output's bias."""
Damages = Mapping[Block, Mapping[Option, float]]
Costs = Mapping[Block, Mapping[Option, float]]
Units = Mapping[Block, Option]


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """All architectures: every block's options, with what each does and costs.

    Attributes:
        units: block → its options, in the order that a `Solution` counts them by.
        slots: the same for the solver.
    """

    units: Mapping[Block, Sequence[Option]]
    slots: Mapping[str, Sequence[Priced]]

    def chosen(self, solution: Solution) -> dict[Block, Option]:
        """Return block → option of a solution."""
        return {block: counts[solution.chosen[block.slot]] for block, counts in self.units.items()}


def space_of(damages: Damages, costs: Costs, *, coverage: float = 0.0) -> Space:
    """Return the space of the options that have a damage.

    Args:
        damages: block → option → nats.
        costs: block → option → microseconds per 1,000 tokens.
        coverage: least share of the multiplications of linear layers that are INT8.
    """
    units = {block: list(by_units) for block, by_units in damages.items()}
    return Space(
        units=units,
        slots={
            block.slot: [
                Priced(
                    damage=damages[block][count],
                    cost=costs[block][count],
                    uses={
                        PARAMETERS: float(block.parameters(units_of(count))),
                        SIZE: float(size_of(block, count)),
                        COVERAGE: (isinstance(count, int) - coverage) * multiplications_of(block, count),
                        PRESENT[block.kind]: float(units_of(count) > 0),
                    },
                )
                for count in counts
            ]
            for block, counts in units.items()
        },
    )


def size_of(block: Block, option: Option) -> int:
    """Return the bytes of a block, as INT8 or in float."""
    weights = multiplications_of(block, option)
    outputs = len(block.readers) * units_of(option) * block.size + block.hidden
    if isinstance(option, InFloat):
        return (weights + outputs) * _FLOAT_BYTES
    return weights * _WEIGHT_BYTES + outputs * _OUTPUT_BYTES


def multiplications_of(block: Block, option: Option) -> int:
    """Return the multiply-accumulates of a block's linear layers for each token: one for each of their weights."""
    return (len(block.readers) + 1) * units_of(option) * block.size * block.hidden


def named(units: Units) -> dict[str, int | str]:
    """Return slot → units, in words where they stay float."""
    return {
        block.slot: str(option) if isinstance(option, InFloat) else option for block, option in units.items()
    }


def pool(space: Space, cost: float, limits: Sequence[Limit], *, count: int, apart: int = 2) -> list[Solution]:
    """Return up to so many solutions within the limits, the least damaging first, that differ in `apart` slots or more.

    Raises:
        UsageError: the solver is not installed.
    """
    slots, found = dict(space.slots), list[Solution]()
    known: list[Limit] = list(limits)
    while len(found) < count:
        solution = least_damage_within(slots, cost, known)
        if solution is None:
            break
        found.append(solution)
        name = f"as solution {len(found)}"
        slots = {
            slot: [
                Priced(
                    damage=option.damage,
                    cost=option.cost,
                    uses={**option.uses, name: float(place == solution.chosen[slot])},
                )
                for place, option in enumerate(options)
            ]
            for slot, options in slots.items()
        }
        known.append(Limit(name=name, at_most=len(slots) - apart))
    return found


def uniform(space: Space, cost: float, limits: Sequence[Limit]) -> dict[Block, int] | None:
    """Return the least damaging architecture within the limits with all layers alike, all INT8; None without one."""
    heads = _common(space, "attention")
    widths = _common(space, "feed_forward")
    best: tuple[float, dict[Block, int]] | None = None
    for head in heads:
        for width in widths:
            chosen = {block: head if block.kind == "attention" else width for block in space.units}
            options = [
                space.slots[block.slot][list(space.units[block]).index(count)]
                for block, count in chosen.items()
            ]
            damage = sum(option.damage for option in options)
            fits = sum(option.cost for option in options) <= cost and all(
                limit.at_least <= sum(option.uses.get(limit.name, 0.0) for option in options) <= limit.at_most
                for limit in limits
            )
            if fits and (best is None or damage < best[0]):
                best = damage, chosen
    return best[1] if best else None


def _common(space: Space, kind: str) -> list[int]:
    counts = [
        {option for option in options if isinstance(option, int)}
        for block, options in space.units.items()
        if block.kind == kind
    ]
    return sorted(set.intersection(*counts), reverse=True) if counts else [0]
