"""Solver: the cheapest choice within a limit, compared with trying everything."""

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.allocation.solver import Priced, Solution, cheapest_within, fastest, least_damage_within, total
from quantkit.errors import UsageError

pytest.importorskip("scipy", reason="the solver is scipy's (pip install quantkit[auto])")

# Nats as they are: from nothing to what ruins a model.
DAMAGES = st.one_of(st.just(0.0), st.floats(1e-7, 1e-5), st.floats(1e-5, 0.1))
COSTS = st.integers(10, 999).map(float)
OPTIONS = st.builds(lambda damage, cost: Priced(damage=damage, cost_us=cost), DAMAGES, COSTS)
FLOATS = st.builds(lambda cost: Priced(damage=0.0, cost_us=cost, coverage=0.0), COSTS)
GROUPS = st.builds(
    lambda quantized, kept: [*quantized, *kept],
    st.lists(OPTIONS, min_size=1, max_size=3),
    st.lists(FLOATS, max_size=1),
)
# All are eighths: sums of them are exact.
COVERING = st.lists(
    st.builds(
        lambda damage, cost, eighths, extra: Priced(
            damage=damage, cost_us=cost, coverage=eighths / 8, extra=extra / 8 if eighths else 0.0
        ),
        DAMAGES,
        COSTS,
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    min_size=2,
    max_size=3,
).filter(lambda options: any(option.quantized for option in options))
PROBLEMS = st.dictionaries(st.sampled_from("abcd"), GROUPS, min_size=1, max_size=4)
# The solver's tolerance is absolute, on damages that are scaled to the limit.
TOLERANCE = 1e-5


def everything(problem: Mapping[str, Sequence[Priced]]) -> list[Solution]:
    """Return every solution there is: those in which something is quantized."""
    places = [range(len(options)) for options in problem.values()]
    chosen = [dict(zip(problem, each, strict=True)) for each in itertools.product(*places)]
    return [
        total(problem, each)
        for each in chosen
        if any(problem[group][place].quantized for group, place in each.items())
    ]


@pytest.mark.parametrize(
    ("solve", "wanted", "limited", "relative", "absolute"),
    [
        (cheapest_within, "cost_us", "damage", 0.0, 1e-6),
        # The solver stops within a millionth of the largest damage there is.
        (least_damage_within, "damage", "cost_us", 4e-6, 1e-12),
    ],
)
@given(problem=PROBLEMS, share=st.floats(0.001, 1.0))
def test_equal_to_trying_everything(
    solve: Callable[..., Solution | None],
    wanted: str,
    limited: str,
    relative: float,
    absolute: float,
    problem: dict[str, list[Priced]],
    share: float,
) -> None:
    """No solution within the limit is better, and None is said only when there is none."""
    limit = share * max(getattr(solution, limited) for solution in everything(problem))
    found = solve(problem, limit)

    def best(within: float) -> float | None:
        fitting = [solution for solution in everything(problem) if getattr(solution, limited) <= within]
        return min((getattr(solution, wanted) for solution in fitting), default=None)

    strict, lenient = best(limit * (1 - TOLERANCE)), best(limit * (1 + TOLERANCE))
    if found is None:
        assert strict is None
        return
    assert getattr(found, limited) <= limit * (1 + TOLERANCE)
    assert lenient is not None
    largest = max(getattr(option, wanted) for options in problem.values() for option in options)
    tolerance = relative * largest + absolute
    assert lenient - tolerance <= getattr(found, wanted)
    assert strict is None or getattr(found, wanted) <= strict + tolerance


@given(
    problem=st.dictionaries(st.sampled_from("abcd"), COVERING, min_size=1, max_size=4),
    share=st.floats(0.1, 1.0),
    coverage=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
)
def test_enough_is_covered(problem: dict[str, list[Priced]], share: float, coverage: float) -> None:
    """What the solver returns covers enough, and nothing cheaper within the limit does; nor is the fastest beaten."""
    covering = [solution for solution in everything(problem) if _surplus(problem, solution, coverage) >= 0]
    quickest = fastest(problem, coverage)
    if covering:
        assert min(solution.cost_us for solution in covering) == pytest.approx(quickest.cost_us, rel=1e-12)
    limit = share * max(solution.damage for solution in everything(problem))
    found = cheapest_within(problem, limit, coverage)
    within = [solution.cost_us for solution in covering if solution.damage <= limit * (1 - TOLERANCE)]
    if found is None:
        assert not within
        return
    assert _surplus(problem, found, coverage) >= -1e-6
    assert not within or found.cost_us <= min(within) + 1e-6


def _surplus(problem: Mapping[str, Sequence[Priced]], solution: Solution, coverage: float) -> float:
    """Return by how much the integer MACs pass their share of all, those on top included."""
    options = [problem[group][place] for group, place in solution.chosen.items()]
    return sum(option.coverage for option in options) - coverage * (
        1 + sum(option.extra for option in options)
    )


@given(problem=PROBLEMS)
def test_sums_are_those_of_the_options(problem: dict[str, list[Priced]]) -> None:
    """One option is chosen in every group, and damage and cost are theirs."""
    limit = max(solution.damage for solution in everything(problem))
    found = cheapest_within(problem, limit)
    assert found is not None
    assert set(problem) == set(found.chosen)
    options = [problem[group][index] for group, index in found.chosen.items()]
    assert sum(option.damage for option in options) == pytest.approx(found.damage, rel=1e-12)
    assert sum(option.cost_us for option in options) == pytest.approx(found.cost_us, rel=1e-12)


@given(problem=PROBLEMS)
def test_fastest_is_the_cheapest_of_all(problem: dict[str, list[Priced]]) -> None:
    """Without a limit nothing is cheaper, and of what is equally cheap nothing does less damage."""
    found = fastest(problem)
    expected = min((solution.cost_us, solution.damage) for solution in everything(problem))
    assert expected == pytest.approx((found.cost_us, found.damage), rel=1e-12)


def test_limit_of_nothing_leaves_what_does_no_damage() -> None:
    """A limit of 0 is no error: options without damage are within it."""
    options = [Priced(damage=1e-6, cost_us=1.0), Priced(damage=0.0, cost_us=9.0)]
    found = cheapest_within({"a": options}, 0.0)
    assert found is not None
    assert {"a": 1} == found.chosen
    assert cheapest_within({"a": options[:1]}, 0.0) is None


def test_something_is_quantized() -> None:
    """FP32 everywhere is no result, be it the fastest or the only one within the limit."""
    options = [Priced(damage=1e-6, cost_us=9.0), Priced(damage=0.0, cost_us=1.0, coverage=0.0)]
    problem = {"a": options, "b": [Priced(damage=1e-5, cost_us=8.0), options[1]]}
    assert {"a": 1, "b": 0} == fastest(problem).chosen
    found = cheapest_within(problem, 2e-6)
    assert found is not None
    assert {"a": 0, "b": 1} == found.chosen
    assert cheapest_within(problem, 1e-7) is None


def test_small_nats_are_told_apart() -> None:
    """Damages far below the solver's absolute tolerance still decide."""
    options = [Priced(damage=2e-9, cost_us=1.0), Priced(damage=1e-9, cost_us=9.0)]
    found = cheapest_within({"a": options, "b": options}, 3.1e-9)
    assert found is not None
    assert 10.0 == found.cost_us


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is for --json; HiGHS's presolve would print a line of its own on this problem."""
    import numpy as np

    for seed in range(2):
        random = np.random.default_rng(seed)
        problem = {
            str(group): [
                *(
                    Priced(
                        damage=float(10 ** random.uniform(-6, -3)), cost_us=float(random.uniform(100, 900))
                    )
                    for _ in range(6)
                ),
                Priced(damage=0.0, cost_us=900.0),
            ]
            for group in range(97)
        }
        for share in (0.5, 0.1, 0.02):
            assert cheapest_within(problem, share * fastest(problem).damage) is not None
    captured = capfd.readouterr()
    assert ("", "") == (captured.out, captured.err)


def test_missing_solver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without scipy there is one line with the extra's name."""
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(UsageError, match=r"pip install 'quantkit\[auto\]'"):
        cheapest_within({"a": [Priced(damage=0.0, cost_us=1.0)]}, 1.0)
