"""The search: from a teacher's fused float artifact to architectures within limits, measured as INT8.

1. Solve: the least damage within the limits, and others that differ in two blocks or more.
2. Heal, quantize and judge the best of them on the selection questions; measure what they cost whole.
3. What whole candidates showed corrects damages and the price; solve again, until nothing new comes, as many were
   built as asked for, or time is up.

Baselines of the same predicted price are built and judged beside them. What the result is between is timed once more,
together, before it is chosen.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from quantkit.allocation.slots import Priced
from quantkit.allocation.solver import cheapest
from quantkit.errors import QuantizationError
from quantkit.files import digest_of
from quantkit.progress import track
from quantkit.records.shapes import BASELINES, MAGNITUDE, SHALLOW, UNHEALED, UNIFORM
from quantkit.shapes.baselines import without_layers
from quantkit.shapes.blocks import Block
from quantkit.shapes.candidate import Candidate
from quantkit.shapes.correct import factors
from quantkit.shapes.feasible import require_feasible
from quantkit.shapes.finalists import finalists
from quantkit.shapes.goal import Goal
from quantkit.shapes.in_float import Option
from quantkit.shapes.order import Narrowed
from quantkit.shapes.price import Prices
from quantkit.shapes.slots import Space, Units, named, pool, uniform
from quantkit.shapes.trials import Trials

_LOG = logging.getLogger(__name__)
_POOL = 2
"""Solutions that are built in each round."""


@dataclass(kw_only=True, slots=True)
class Search:
    """One search.

    Attributes:
        space: options with damage and price.
        goal: what is asked.
        prices: of blocks, and of what is beside them.
        trials: builds and judges.
        teacher: the INT8 teacher as a candidate.
        deadline: `time.monotonic()` after which no candidate is begun.
        most: candidates that are built at most.
        away: heals and judges candidates together, elsewhere; returns origin → why one cannot be built. None: they are
            built here, one after the other.
    """

    space: Space
    goal: Goal
    prices: Prices
    trials: Trials
    teacher: Candidate
    deadline: float
    most: int
    away: Callable[[Mapping[str, Units]], Mapping[str, Exception]] | None = None
    candidates: list[Candidate] = field(default_factory=list)
    waves: list[list[float]] = field(default_factory=list)
    """Seconds of the candidates that depended on none of each other: of each round, then of the baselines."""
    _failed: dict[str, Exception] = field(default_factory=dict)

    def run(self) -> Iterator[Candidate]:
        """Search; yield each candidate as soon as it was measured. `candidates` has all of them.

        Raises:
            UsageError: a limit is beyond what can be built, or two contradict each other.
        """
        require_feasible(self.space, self.goal)
        with track("candidates", self.most + len(BASELINES), "candidates") as advance:
            for origin, units in self._proposals():
                try:
                    one = self.measured(origin, units)
                except (QuantizationError, np.linalg.LinAlgError) as error:
                    if origin not in BASELINES:
                        raise
                    # Its activations collapsed; the result is not lost for want of it.
                    _LOG.warning("%s is left out: it cannot be quantized (%s)", origin, error)
                    advance(1)
                    continue
                self.candidates.append(one)
                advance(1)
                yield one

    def decide(self) -> None:
        """Time what the result is between once more, all beside the INT8 teacher; `chosen()` is then the result."""
        compared = finalists(self.candidates, self.chosen(), most=self.goal.cost, ratio=self.goal.ratio)
        if compared:
            # Candidates of one shape and other weights take the same time.
            shapes = {digest_of(named(one.units)): one.units for one in compared}
            paces = dict(zip(shapes, self.trials.paces([self.teacher.units, *shapes.values()]), strict=True))
            self.candidates = [
                replace(one, cost=self.teacher.cost / pace.median, again=pace)
                if (pace := paces.get(digest_of(named(one.units))))
                else one
                for one in self.candidates
            ]
        chosen = self.chosen()
        if self.missed(chosen):
            _LOG.warning(
                "the chosen architecture costs %.1f %% more than is allowed, as measured; "
                "raise --candidates, or ask for less",
                100 * self.missed(chosen),
            )

    def chosen(self) -> Candidate:
        """Return the candidate that keeps every limit and is nearest to the teacher.

        What is built for comparison counts too: a uniform shape that is better is what the user wants.
        If only a ratio is asked, the fastest that keeps it; where none keeps the speed, the one that misses it least.
        """
        only_ratio = math.isinf(self.goal.cost) and self.goal.ratio is not None
        return min(
            self.candidates,
            key=lambda one: (
                self.missed(one),
                not self.meets(one),
                one.cost if only_ratio and self.meets(one) else one.judged.marks.divergence,
            ),
        )

    def missed(self, candidate: Candidate) -> float:
        """Return by what share a candidate costs more than is allowed, as measured; 0 where it keeps the limit."""
        return max(0.0, candidate.cost / self.goal.cost - 1)

    def meets(self, candidate: Candidate) -> bool:
        """Tell whether it keeps the limits on speed, as measured, and on the ratio."""
        ratio = self.goal.ratio
        kept = ratio is None or candidate.judged.marks.expected_ratio >= ratio
        return not self.missed(candidate) and kept

    def measured(self, origin: str, units: Units) -> Candidate:
        """Build, judge and time an architecture."""
        if origin in self._failed:
            raise self._failed.pop(origin)
        times = self.trials.journal.times
        before = len(times)
        judged = self.trials.judged(units, magnitude=origin in UNHEALED)
        cost, teacher = self.trials.costs([units, self.teacher.units])
        self.waves[-1].append(sum(times[before:]))
        return Candidate(
            origin=origin,
            units=units,
            damage=self._damage(units),
            predicted=self.prices.of(units),
            # As of the teacher's time when it was first measured: machines change their speed.
            cost=cost * self.teacher.cost / teacher,
            judged=judged,
        )

    def parts(self, candidate: Candidate) -> dict[Block, Narrowed]:
        """Return the narrowed blocks of a candidate."""
        return self.trials.parts(candidate.units, magnitude=candidate.origin in UNHEALED)

    def _proposals(self) -> Iterator[tuple[str, Units]]:
        """Yield architectures to measure; each time what was measured of those before is known."""
        built: list[dict[str, int | str]] = []
        number = 0
        while len(built) < self.most:
            number += 1
            space = self._corrected()
            limit = self._most_cost() * self._margin() - self.prices.beside
            found = [space.chosen(one) for one in pool(space, limit, self.goal.limits, count=_POOL)]
            most = 1 if math.isinf(self.goal.cost) and self.goal.ratio is not None else self.most - len(built)
            new = [units for units in found if named(units) not in built][:most]
            if not new:
                break
            self.waves.append([])
            begun = not self._is_over(built) and self._sent(
                {f"solution {place} of round {number}": units for place, units in enumerate(new, 1)}
            )
            for place, units in enumerate(new, 1):
                if not begun and self._is_over(built):
                    _LOG.warning(
                        "the budget is spent after %d candidates; raise --budget for more", len(built)
                    )
                    return
                built.append(named(units))
                yield f"solution {place} of round {number}", units
        self.waves.append([])
        baselines = dict(self._baselines(self.chosen().predicted - self.prices.beside))
        self._sent(baselines)
        yield from baselines.items()

    def _is_over(self, built: Sequence[dict[str, int | str]]) -> bool:
        """Tell whether the budget is spent; a first candidate is built in any case."""
        return bool(built) and time.monotonic() >= self.deadline

    def _sent(self, asked: Mapping[str, Units]) -> bool:
        """Let candidates that depend on none of each other be built elsewhere; return whether they were."""
        if self.away is None:
            return False
        self._failed.update(self.away(asked))
        return True

    def _baselines(self, cost: float) -> Iterator[tuple[str, Units]]:
        """Yield what the search must beat, where it can be built at this predicted price of the blocks."""
        alike = uniform(self.space, cost, self.goal.limits)
        if alike is not None:
            yield UNIFORM, alike
        shallow = without_layers(self.prices.blocks, cost)
        if shallow is not None:
            yield SHALLOW, shallow
        if alike is not None:
            yield MAGNITUDE, alike

    def _most_cost(self) -> float:
        """Return what is asked; with a ratio only, halfway between what kept it and what did not, as measured."""
        if not math.isinf(self.goal.cost) or self.goal.ratio is None:
            return self.goal.cost
        fastest = cheapest(self.space.slots, self.goal.limits)
        assert fastest is not None
        kept = [self.teacher.cost, *(one.cost for one in self.candidates if self.meets(one))]
        failed = [
            fastest.cost + self.prices.beside,
            *(one.cost for one in self.candidates if not self.meets(one) and one.cost < min(kept)),
        ]
        return (min(kept) + max(failed)) / 2

    def _margin(self) -> float:
        """Return how many times what is asked may be predicted: the least that whole models showed."""
        whole = self.prices.of(self.teacher.units) / self.teacher.cost
        seen = [one.predicted / one.cost / whole for one in self.candidates]
        return min(seen, default=1.0)

    def _damage(self, units: Units) -> float:
        return sum(self._option(self.space, block, count).damage for block, count in units.items())

    def _option(self, space: Space, block: Block, option: Option) -> Priced:
        return space.slots[block.slot][list(space.units[block]).index(option)]

    def _corrected(self) -> Space:
        """Return the space with damages as the candidates that were measured say."""
        slots = list(self.space.slots)
        # Damages are counted from the least of each block: 0, or what it takes away in float.
        least = {slot: min(option.damage for option in options) for slot, options in self.space.slots.items()}
        teacher = self.teacher.judged.marks.divergence
        base = min(teacher, max(0.0, teacher + sum(least.values())))
        rows: list[dict[str, float]] = []
        measured: list[float] = []
        for one in self.candidates:
            row = {
                block.slot: self._option(self.space, block, option).damage - least[block.slot]
                for block, option in one.units.items()
            }
            # Where float takes some away, one that is at the least everywhere tells of no factor.
            if base == teacher or any(row.values()):
                rows.append(row)
                measured.append(max(one.judged.marks.divergence - base, 1e-9))
        found = factors(rows, measured, slots)
        corrected: Mapping[str, list[Priced]] = {
            slot: [
                Priced(damage=(option.damage - least[slot]) * found[slot], cost=option.cost, uses=option.uses)
                for option in options
            ]
            for slot, options in self.space.slots.items()
        }
        return Space(units=self.space.units, slots=corrected)
