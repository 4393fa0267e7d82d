"""Schedule: the learning rate ends at the last step, and a budget is turned into steps that fit it."""

import pytest

from quantkit.distillation.schedule import Schedule, Speed, split_steps, steps_within
from quantkit.errors import UsageError


def test_rate_rises_and_falls_in_each_phase() -> None:
    """Each phase warms up to the highest rate and falls linearly; no step has a rate of zero."""
    schedule = Schedule(blocks=4, whole=8)
    rates = [schedule.rate(step, 0.25) for step in range(12)]
    assert rates == pytest.approx(
        [1, 1, 2 / 3, 1 / 3, 0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6], abs=1e-12
    )


def test_evaluations_are_even_and_the_last_step_has_one() -> None:
    """The selection is answered after the blocks, then so many times, the last time at the end."""
    schedule = Schedule(blocks=3, whole=10)
    assert [step for step in range(1, 14) if schedule.evaluated(step, 4)] == [3, 6, 8, 11, 13]
    assert [step for step in range(1, 6) if Schedule(blocks=5, whole=0).evaluated(step, 4)] == [5]


def test_the_last_steps_are_rounded() -> None:
    """A fifth of ten steps are the last two; the blocks' steps are never among them."""
    schedule = Schedule(blocks=3, whole=7)
    found = {
        share: [step for step in range(10) if schedule.fake_quantized(step, share)]
        for share in (0.0, 0.2, 1.0)
    }
    assert found == {0.0: [], 0.2: [8, 9], 1.0: list(range(3, 10))}


@pytest.mark.parametrize(
    ("steps", "share", "blocks"), [(100, 0.15, 15), (2, 0.9, 1), (5, 1.0, 5), (1, 0.5, 0)]
)
def test_blocks_get_their_share(steps: int, share: float, blocks: int) -> None:
    """The whole learns in one step at least, unless the blocks have all of them."""
    assert split_steps(steps, share) == Schedule(blocks=blocks, whole=steps - blocks)


def test_a_budget_is_used_and_kept() -> None:
    """Steps and evaluations at the measured speed take the budget, less than a step short of it."""
    speed = Speed(block=1.0, whole=3.0, evaluation=5.0)
    schedule = steps_within(400.0, 20.0, speed, evaluations=9, block_share=0.25)
    spent = 20.0 + 10 * 5.0 + schedule.blocks * 1.0 + schedule.whole * 3.0
    assert 400.0 - 2 * 3.0 < spent <= 400.0 + 2 * 3.0


def test_a_budget_without_a_step_is_told() -> None:
    """Nobody waits for evaluations of a training that has no step."""
    speed = Speed(block=1.0, whole=3.0, evaluation=5.0)
    with pytest.raises(UsageError, match=r"--budget: 30 s are too few .* give 56 or more"):
        steps_within(30.0, 0.0, speed, evaluations=9, block_share=0.0)
