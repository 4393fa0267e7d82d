"""Schedule: so many steps for the blocks, then so many for the whole; each phase warms up and falls to zero."""

import math
from dataclasses import dataclass
from typing import Literal

from quantkit.errors import UsageError

PhaseName = Literal["blocks", "whole"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A part of the training.

    Attributes:
        name: what learns: each block alone, or the whole.
        first: its first step.
        steps: how many it has.
    """

    name: PhaseName
    first: int
    steps: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """All steps of a training.

    Attributes:
        blocks: steps in which each changed block learns alone.
        whole: steps in which the whole learns.
    """

    blocks: int
    whole: int

    @property
    def steps(self) -> int:
        """All of them."""
        return self.blocks + self.whole

    def phase(self, step: int) -> Phase:
        """Return the part of the training that a step, from 0, belongs to."""
        if step < self.blocks:
            return Phase(name="blocks", first=0, steps=self.blocks)
        return Phase(name="whole", first=self.blocks, steps=self.whole)

    def rate(self, step: int, warm_up: float) -> float:
        """Return the share of the highest learning rate at a step; never 0, as every step shall teach something.

        Args:
            step: from 0.
            warm_up: share of a phase's steps in which it rises.
        """
        phase = self.phase(step)
        done, rising = step - phase.first, math.ceil(warm_up * phase.steps)
        if done < rising:
            return (done + 1) / rising
        return (phase.steps - done) / max(1, phase.steps - rising)

    def fake_quantized(self, step: int, share: float) -> bool:
        """Return whether a step is one of the last ones, in which linear layers are rounded; the blocks' never are."""
        return step >= max(self.blocks, self.steps - round(share * self.steps))

    def evaluated(self, step: int, evaluations: int) -> bool:
        """Return whether the selection is answered when so many steps are done: after the blocks, then evenly."""
        done = step - self.blocks
        if done <= 0 or self.whole == 0:
            return done == 0 and step > 0
        return done * evaluations // self.whole > (done - 1) * evaluations // self.whole


def split_steps(steps: int, block_share: float) -> Schedule:
    """Return a schedule of so many steps; the whole learns in one at least, unless the blocks have all of them."""
    blocks = steps if block_share == 1 else min(round(block_share * steps), steps - 1)
    return Schedule(blocks=blocks, whole=steps - blocks)


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """What was measured before the first step.

    Attributes:
        block: seconds of a step in which the blocks learn.
        whole: seconds of a step in which the whole learns.
        evaluation: seconds in which the selection is answered.
    """

    block: float
    whole: float
    evaluation: float


def steps_within(
    budget: float, spent: float, speed: Speed, *, evaluations: int, block_share: float
) -> Schedule:
    """Return the schedule that ends with the budget.

    Args:
        budget: seconds.
        spent: seconds of it that are gone.
        speed: of this machine.
        evaluations: how often the selection is answered.
        block_share: share of the steps for the blocks.

    Raises:
        UsageError: not even one step fits.
    """
    left = budget - spent - (evaluations + 1) * speed.evaluation
    step = block_share * speed.block + (1 - block_share) * speed.whole
    steps = int(left / step)
    if steps < 2:
        least = spent + (evaluations + 1) * speed.evaluation + 2 * step
        raise UsageError(
            f"--budget: {budget:.0f} s are too few here for a step, which takes {step:.1f} s, and {evaluations} "
            f"evaluations of {speed.evaluation:.1f} s; give {math.ceil(least)} or more, or fewer --evaluations or "
            "--select-questions"
        )
    return split_steps(steps, block_share)
