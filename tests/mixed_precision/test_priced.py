"""Priced: what the solver is told of groups and their options."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.allocation.slots import Solution, total
from quantkit.errors import UsageError
from quantkit.mixed_precision.groups import Group
from quantkit.mixed_precision.noise import Noise
from quantkit.mixed_precision.options import PLAIN, STATIC, Option
from quantkit.mixed_precision.priced import limits_of, slots_of
from quantkit.mixed_precision.sensitivity import Damage
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.treatments.outliers import Outliers

DAMAGE = Damage(divergence=0.02, changed=0.1, together=())


def group(name: str, outputs: int) -> Group:
    """Return a group of one layer with 8 inputs."""
    return Group(
        name=name,
        layers=(name,),
        kind=name,
        tensor="x",
        inputs=8,
        outputs=(outputs,),
        pooled=False,
        foldable=False,
    )


def bench(*outputs: int, kept: int = 0) -> Any:
    """Return a workbench of groups with so many outputs, beside layers with `kept` MACs that stay float."""
    groups = tuple(group(f"g{place}", width) for place, width in enumerate(outputs))
    return SimpleNamespace(groups=groups, macs=sum(one.macs for one in groups) + kept)


def option(choice: Choice, noise: float = 1.0) -> Option:
    return Option(choice=choice, noise=Noise(noise=noise, signal=1.0), cost_us=100.0)


def outliers(count: int) -> Choice:
    return Choice(scheme="static", treatments=(Outliers(count),))


def test_damage_grows_with_the_noise() -> None:
    """The first option has the damage as measured; another one has as much more as it makes noise."""
    offered = (option(STATIC, 0.5), option(PLAIN, 1.5), option(FLOAT, 0.0))
    slots = slots_of(bench(4), {"g0": offered}, {"g0": DAMAGE}, 0.9)
    assert [one.damage for one in slots["g0"]] == pytest.approx([0.02, 0.06, 0.0], rel=1e-12)
    assert [one.cost for one in slots["g0"]] == [100.0] * 3


def test_a_group_without_noise_does_no_damage() -> None:
    """Then nothing is known of other options, and nothing is divided by zero."""
    slots = slots_of(bench(4), {"g0": (option(STATIC, 0.0), option(PLAIN))}, {"g0": DAMAGE}, 0.9)
    assert [one.damage for one in slots["g0"]] == [0.0, 0.0]


def test_fp32_everywhere_is_no_result() -> None:
    """One quantized group is enough, however small the coverage that is asked for."""
    workbench = bench(4, 4)
    slots = slots_of(workbench, dict.fromkeys(("g0", "g1"), (option(STATIC), option(FLOAT))), damages(2), 0.0)
    limits = limits_of(workbench, 0.0)

    def kept(*places: int) -> bool:
        return keeps(limits, total(slots, dict(zip(slots, places, strict=True))))

    assert (kept(1, 1), kept(0, 1), kept(1, 0)) == (False, True, True)


def damages(count: int) -> dict[str, Damage]:
    return {f"g{place}": DAMAGE for place in range(count)}


def keeps(limits: Any, solution: Solution) -> bool:
    return all(limit.allows(solution) for limit in limits)


@given(
    outputs=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    kept=st.integers(0, 16),
    coverage=st.sampled_from([0.25, 0.5, 0.75]),
    data=st.data(),
)
def test_coverage_is_of_all_that_is_multiplied(
    outputs: list[int], kept: int, coverage: float, data: st.DataObject
) -> None:
    """Integer MACs are held against those of the whole model, layers kept float and outliers' own products included."""
    workbench = bench(*outputs, kept=kept)
    counted = sum(one.macs for one in workbench.groups) / workbench.macs
    if counted < coverage:
        with pytest.raises(UsageError, match=r"^--min-int8-coverage .* keep_float leaves"):
            limits_of(workbench, coverage)
        return
    choices = (STATIC, outliers(2), outliers(8), FLOAT)
    offered = {one.name: tuple(option(choice) for choice in choices) for one in workbench.groups}
    slots = slots_of(workbench, offered, damages(len(outputs)), coverage)
    chosen = {name: data.draw(st.integers(0, 3), label=name) for name in slots}
    integer = sum(one.macs for one in workbench.groups if chosen[one.name] != 3)
    extra = sum(one.macs * (0, 2, 8, 0)[chosen[one.name]] // 8 for one in workbench.groups)
    surplus = integer - coverage * (workbench.macs + extra)
    if abs(surplus) > 1e-9:
        expected = surplus > 0 and integer > 0
        assert keeps(limits_of(workbench, coverage), total(slots, chosen)) is expected
