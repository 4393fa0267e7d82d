"""Solver: the cheapest choice within limits, compared with trying everything."""

import itertools
import math
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.allocation.slots import Limit, Priced, Slots, Solution, total
from quantkit.allocation.solver import cheapest, cheapest_within, least_damage_within
from quantkit.errors import UsageError

pytest.importorskip("scipy", reason="the solver is scipy's (pip install quantkit[auto])")

# Nats as they are: from nothing to what ruins a model.
DAMAGES = st.one_of(st.just(0.0), st.floats(1e-7, 1e-5), st.floats(1e-5, 0.1))
COSTS = st.integers(10, 999).map(float)
# All are eighths, or millions of eighths: sums of them are exact.
EIGHTHS = st.integers(0, 8).map(lambda number: number / 8)
SIGNED = st.integers(-4, 8).map(lambda number: number / 8)
MILLIONS = st.integers(0, 64).map(lambda number: number * 1e6 / 8)


def problems(**uses: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, list[Priced]]]:
    """Return slots of one to four options that use so much."""
    option = st.builds(
        lambda damage, cost, used: Priced(damage=damage, cost=cost, uses=used),
        DAMAGES,
        COSTS,
        st.fixed_dictionaries(uses),
    )
    return st.dictionaries(
        st.sampled_from("abcd"), st.lists(option, min_size=1, max_size=4), min_size=1, max_size=4
    )


FREE, COVERING = problems(), problems(covered=EIGHTHS, taken=SIGNED, size=MILLIONS)
# The solver's tolerance is absolute, on damages that are scaled to the limit.
TOLERANCE = 1e-5


def everything(slots: Slots, limits: Sequence[Limit] = ()) -> list[Solution]:
    """Return every solution there is within the limits."""
    places = [range(len(options)) for options in slots.values()]
    chosen = [dict(zip(slots, each, strict=True)) for each in itertools.product(*places)]
    solutions = [total(slots, each) for each in chosen]
    return [solution for solution in solutions if all(limit.allows(solution) for limit in limits)]


@st.composite
def limited(draw: st.DrawFn) -> tuple[Slots, list[Limit]]:
    """Return slots with limits in both directions, on uses that are shares, may be negative, or are in millions."""
    slots = draw(COVERING)
    limits = [
        Limit(name="covered", at_least=draw(st.integers(0, 24)) / 8),
        Limit(name="taken", at_most=draw(st.integers(-8, 24)) / 8),
        Limit(
            name="size", at_least=draw(st.sampled_from([0.0, 1e6])), at_most=draw(st.integers(0, 24)) * 1e6
        ),
    ]
    return slots, draw(st.lists(st.sampled_from(limits), unique_by=lambda limit: limit.name))


@pytest.mark.parametrize(
    ("solve", "wanted", "bounded", "relative", "absolute"),
    [
        (cheapest_within, "cost", "damage", 0.0, 1e-6),
        # The solver stops within a millionth of the largest damage there is.
        (least_damage_within, "damage", "cost", 4e-6, 1e-12),
    ],
)
@pytest.mark.parametrize("problem", [st.tuples(FREE, st.just([])), limited()], ids=["free", "limited"])
@given(data=st.data())
def test_equal_to_trying_everything(
    solve: Callable[..., Solution | None],
    wanted: str,
    bounded: str,
    relative: float,
    absolute: float,
    problem: st.SearchStrategy[tuple[Slots, list[Limit]]],
    data: st.DataObject,
) -> None:
    """No solution within all limits is better, and None is said only when there is none."""
    slots, limits = data.draw(problem)
    share = data.draw(st.floats(0.001, 1.0))
    bound = share * max(getattr(solution, bounded) for solution in everything(slots))
    found = solve(slots, bound, limits)

    def best(within: float) -> float | None:
        fitting = [one for one in everything(slots, limits) if getattr(one, bounded) <= within]
        return min((getattr(solution, wanted) for solution in fitting), default=None)

    strict, lenient = best(bound * (1 - TOLERANCE)), best(bound * (1 + TOLERANCE))
    if found is None:
        assert strict is None
        return
    assert [str(limit) for limit in limits if not limit.allows(found)] == []
    assert getattr(found, bounded) <= bound * (1 + TOLERANCE)
    assert lenient is not None
    largest = max(getattr(option, wanted) for options in slots.values() for option in options)
    tolerance = relative * largest + absolute
    assert lenient - tolerance <= getattr(found, wanted)
    assert strict is None or getattr(found, wanted) <= strict + tolerance


@given(slots=FREE)
def test_cheapest_without_limits_is_exact(slots: Slots) -> None:
    """Nothing is cheaper, and of what is equally cheap nothing does less damage."""
    found = cheapest(slots)
    assert found is not None
    expected = min((solution.cost, solution.damage) for solution in everything(slots))
    assert (found.cost, found.damage) == pytest.approx(expected, rel=1e-12)


@given(problem=limited())
def test_cheapest_within_limits(problem: tuple[Slots, list[Limit]]) -> None:
    """Of what the limits allow nothing is cheaper, and of that nothing does less damage; None when there is nothing."""
    slots, limits = problem
    found = cheapest(slots, limits)
    expected = min(((solution.cost, solution.damage) for solution in everything(slots, limits)), default=None)
    if found is None or expected is None:
        assert found is expected
        return
    assert [str(limit) for limit in limits if not limit.allows(found)] == []
    assert found.cost == pytest.approx(expected[0], rel=1e-12)
    largest = max(option.damage for options in slots.values() for option in options)
    assert found.damage == pytest.approx(expected[1], rel=1e-12, abs=4e-6 * largest)


@given(slots=COVERING)
def test_sums_are_those_of_the_options(slots: Slots) -> None:
    """One option is chosen in every slot, and damage, cost and every use are theirs."""
    found = cheapest_within(slots, math.inf)
    assert found is not None
    assert set(found.chosen) == set(slots)
    options = [slots[slot][index] for slot, index in found.chosen.items()]
    assert found.damage == pytest.approx(sum(option.damage for option in options), rel=1e-12)
    assert found.cost == pytest.approx(sum(option.cost for option in options), rel=1e-12)
    for name in ("covered", "taken", "size"):
        assert found.uses[name] == sum(option.uses[name] for option in options)


def test_limit_of_nothing_leaves_what_does_no_damage() -> None:
    """A limit of 0 is no error: options without damage are within it."""
    options = [Priced(damage=1e-6, cost=1.0), Priced(damage=0.0, cost=9.0)]
    found = cheapest_within({"a": options}, 0.0)
    assert found is not None
    assert found.chosen == {"a": 1}
    assert cheapest_within({"a": options[:1]}, 0.0) is None


def test_at_least_one() -> None:
    """Where the cheapest of every slot uses nothing of what one must, the slot is found in which that costs least."""
    one = Limit(name="quantized", at_least=1)
    kept = Priced(damage=0.0, cost=1.0)
    slots = {
        "a": [Priced(damage=1e-6, cost=9.0, uses={"quantized": 1}), kept],
        "b": [Priced(damage=1e-5, cost=8.0, uses={"quantized": 1}), kept],
    }
    fastest = cheapest(slots, [one])
    assert fastest is not None
    assert fastest.chosen == {"a": 1, "b": 0}
    found = cheapest_within(slots, 2e-6, [one])
    assert found is not None
    assert found.chosen == {"a": 0, "b": 1}
    assert cheapest_within(slots, 1e-7, [one]) is None


def test_of_equally_cheap_ones_within_limits_the_least_damaging() -> None:
    """Layers of one shape cost the same; which of them is quantized is decided by damage, not by their order."""
    kept = Priced(damage=0.0, cost=1.0)
    slots = {
        name: [Priced(damage=damage, cost=2.0, uses={"quantized": 1}), kept]
        for name, damage in (("a", 0.02), ("b", 0.01), ("c", 0.03))
    }
    found = cheapest(slots, [Limit(name="quantized", at_least=1)])
    assert found is not None
    assert found.chosen == {"a": 1, "b": 0, "c": 1}


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_limits_bind_in_any_unit(unit: float) -> None:
    """Seconds or bytes: an amount that is a third too small, or too large, is beyond the limit."""
    slots = {
        "a": [
            Priced(damage=0.0, cost=1.0, uses={"amount": 2 * unit}),
            Priced(damage=0.0, cost=2.0, uses={"amount": 3 * unit}),
            Priced(damage=0.0, cost=0.0, uses={"amount": 4 * unit}),
        ]
    }
    found = cheapest_within(slots, 1.0, [Limit(name="amount", at_least=3 * unit, at_most=3 * unit)])
    assert found is not None
    assert found.chosen == {"a": 1}


def test_less_than_nothing_cannot_be_used() -> None:
    """Where every amount is 0 or more, no solution uses less than nothing."""
    slots = {"a": [Priced(damage=0.0, cost=1.0, uses={"amount": 0.0})]}
    assert cheapest(slots, [Limit(name="amount", at_most=-1)]) is None


def test_a_limit_that_no_option_knows_is_a_slip() -> None:
    """A name that is written otherwise in limit and options would never bind."""
    slots = {"a": [Priced(damage=0.0, cost=1.0, uses={"parameters": 1e6})]}
    with pytest.raises(ValueError, match="'params'"):
        cheapest_within(slots, 1.0, [Limit(name="params", at_most=1e3)])


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (Limit(name="parameters", at_most=1.1e8), "parameters at most 1.1e+08"),
        (Limit(name="coverage", at_least=0.9), "coverage at least 0.9"),
        (Limit(name="heads", at_least=1, at_most=12), "heads at least 1 and at most 12"),
    ],
)
def test_limits_are_told(limit: Limit, told: str) -> None:
    """People read the name and the bounds."""
    assert str(limit) == told


def test_small_nats_are_told_apart() -> None:
    """Damages far below the solver's absolute tolerance still decide."""
    options = [Priced(damage=2e-9, cost=1.0), Priced(damage=1e-9, cost=9.0)]
    found = cheapest_within({"a": options, "b": options}, 3.1e-9)
    assert found is not None
    assert found.cost == 10.0


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is for --json; HiGHS's presolve would print a line of its own on this problem."""
    for seed in range(2):
        random = np.random.default_rng(seed)
        slots = {
            str(slot): [
                *(
                    Priced(damage=float(10 ** random.uniform(-6, -3)), cost=float(random.uniform(100, 900)))
                    for _ in range(6)
                ),
                Priced(damage=0.0, cost=900.0),
            ]
            for slot in range(97)
        }
        fastest = cheapest(slots)
        assert fastest is not None
        for share in (0.5, 0.1, 0.02):
            assert cheapest_within(slots, share * fastest.damage) is not None
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_missing_solver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without scipy there is one line with the extra's name."""
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(UsageError, match=r"pip install 'quantkit\[auto\]'"):
        cheapest_within({"a": [Priced(damage=0.0, cost=1.0)]}, 1.0)
