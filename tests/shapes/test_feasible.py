"""What is asked of a smaller model, as limits; and what is said where nothing keeps them."""

import pytest

from quantkit.errors import UsageError
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes.blocks import Block
from quantkit.shapes.feasible import require_feasible
from quantkit.shapes.goal import Beside, asked_of, goal_of
from quantkit.shapes.options import unit_counts
from quantkit.shapes.slots import Space, pool, size_of, space_of, uniform

BESIDE = Beside(parameters=1000, size=2000, activations=500, cost=10.0)
BLOCKS = [
    Block(layer=layer, kind=kind, path=f"l.{layer}", units=units, size=size, hidden=8)
    for layer in range(2)
    for kind, units, size in (("attention", 2, 4), ("feed_forward", 32, 1))
]


def space(*, slow: bool = False) -> Space:
    """Return a space where half a block costs half; `slow`: some units of a block cost more than all of them."""
    damages, costs = {}, {}
    for number, block in enumerate(BLOCKS):
        counts = [block.units, block.units // 2, 0]
        damages[block] = {count: (number + 1) * (1 - count / block.units) for count in counts}
        costs[block] = {count: 100 * count / block.units + 5 for count in counts}
        if slow:
            costs[block] = {count: 300.0 if count < block.units else 100.0 for count in counts}
    return space_of(damages, costs)


def asked(**limits: object) -> SearchSettings:
    return SearchSettings(**limits)  # type: ignore[arg-type]


def test_something_must_be_asked() -> None:
    """Without any limit the teacher is the answer."""
    with pytest.raises(UsageError, match="nothing is asked of the smaller model"):
        asked_of(asked())


def test_speed_is_asked_of_the_whole_model() -> None:
    """Twice the throughput is half the cost; the stricter of throughput and latency holds."""
    goal = goal_of(asked(min_throughput="2x"), BESIDE, 430.0, 100)
    assert goal.cost == 215.0
    both = goal_of(asked(min_throughput="2", max_latency=0.02), BESIDE, 430.0, 100)
    # Reached by way of the blocks' share, in another order of sums.
    assert both.cost == pytest.approx(200.0, rel=1e-12)


def test_embeddings_alone_may_be_too_large() -> None:
    """What no removal changes is told before anything is solved, in the unit of the option."""
    with pytest.raises(UsageError, match=r"--max-parameters 900: embeddings and head.* are 1000; allow more"):
        goal_of(asked(max_parameters=900), BESIDE, 430.0, 100)
    with pytest.raises(
        UsageError, match=r"--max-l3-mb 0.002: .* a batch's activations are 0.0025 MB; allow more"
    ):
        goal_of(asked(max_l3_mb=0.002), BESIDE, 430.0, 100)


def test_a_limit_that_can_be_kept_is_no_error() -> None:
    """Twice as fast and half as large is there."""
    require_feasible(space(), goal_of(asked(min_throughput="2x", max_parameters=1600), BESIDE, 430.0, 100))


def test_the_fastest_is_named() -> None:
    """One block of each kind must stay: 55 + 55 + 5 + 5 + 10 of 430 microseconds."""
    goal = goal_of(asked(min_throughput="100x"), BESIDE, 430.0, 100)
    with pytest.raises(
        UsageError, match=r"--min-throughput 100: the nearest .* comes is 3.31 times; ask for less"
    ):
        require_feasible(space(), goal)


def test_the_smallest_is_named() -> None:
    """Counted with the embeddings, as the option is."""
    smallest = 1000 + sum(block.parameters(0) for block in BLOCKS[:2])
    smallest += sum(block.parameters(block.units // 2) for block in BLOCKS[2:])
    goal = goal_of(asked(max_parameters=smallest - 1), BESIDE, 430.0, 100)
    with pytest.raises(
        UsageError, match=f"--max-parameters {smallest - 1}: .* comes is {smallest}; allow more"
    ):
        require_feasible(space(), goal)


def test_two_that_contradict_each_other_are_named() -> None:
    """Where fewer units are slower, fast and small exclude each other."""
    sizes = [size_of(block, block.units) for block in BLOCKS]
    goal = goal_of(asked(min_throughput="1x", max_size_mb=0.003), BESIDE, 410.0, 100)
    with pytest.raises(UsageError) as caught:
        require_feasible(space(slow=True), goal)
    assert str(caught.value) == (
        "--min-throughput 1 and --max-size-mb 0.003 contradict each other: with the first, the nearest to the second "
        f"is {(2000 + sum(sizes)) / 1e6:.6g} MB; relax one of them"
    )


def test_solutions_differ_in_two_blocks() -> None:
    """A second solution that moves one neuron would tell nothing new."""
    found = space()
    goal = goal_of(asked(min_throughput="1.5x"), BESIDE, 430.0, 100)
    first, second = (found.chosen(one) for one in pool(found, goal.cost - 10, goal.limits, count=2))
    assert sum(first[block] != second[block] for block in BLOCKS) >= 2


def test_the_uniform_one_is_alike_in_every_layer() -> None:
    """And keeps the limits."""
    found = uniform(space(), 250.0, ())
    assert found is not None
    assert found[BLOCKS[0]] == found[BLOCKS[2]]
    assert found[BLOCKS[1]] == found[BLOCKS[3]]


def test_options_go_from_the_whole_block_to_none() -> None:
    """Heads one by one; neurons by multiples of the step, whatever the width is."""
    attention = Block(layer=0, kind="attention", path="l", units=3, size=4, hidden=8)
    network = Block(layer=0, kind="feed_forward", path="l", units=72, size=1, hidden=8)
    assert unit_counts(attention, 16) == [3, 2, 1, 0]
    assert unit_counts(network, 16) == [72, 64, 48, 32, 16, 0]
