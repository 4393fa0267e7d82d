"""Priced: groups as slots, and their options with predicted damage, measured cost and what limits ask of them."""

from collections.abc import Mapping, Sequence

from quantkit.allocation.slots import Limit, Priced
from quantkit.errors import UsageError
from quantkit.mixed_precision.groups import Group
from quantkit.mixed_precision.options import Option, Options
from quantkit.mixed_precision.sensitivity import Damage
from quantkit.mixed_precision.workbench import Workbench

_QUANTIZED, _COVERAGE = "quantized groups", "INT8 coverage"


def limits_of(workbench: Workbench, coverage: float) -> tuple[Limit, ...]:
    """Return what every candidate keeps: something is quantized, and enough of the MACs are.

    Args:
        workbench: the groups.
        coverage: least share of all linear layers' multiply-accumulates in integers.

    Raises:
        UsageError: the coverage cannot be had, as too much was told to stay float.
    """
    most = sum(group.macs for group in workbench.groups) / workbench.macs
    if most < coverage:
        raise UsageError(
            f"--min-int8-coverage {coverage:g}: keep_float leaves {most:.1%} of the linear layers' "
            "multiply-accumulates to quantize; keep fewer in FP32, or ask for less (the gate has the same option)"
        )
    return Limit(name=_QUANTIZED, at_least=1), Limit(name=_COVERAGE, at_least=coverage)


def slots_of(
    workbench: Workbench, options: Options, damages: Mapping[str, Damage], coverage: float
) -> dict[str, list[Priced]]:
    """Return group name → its priced options, in their order."""
    return {
        group.name: _priced(
            group, options[group.name], damages[group.name], macs=workbench.macs, coverage=coverage
        )
        for group in workbench.groups
    }


def _priced(
    group: Group, options: Sequence[Option], damage: Damage, *, macs: int, coverage: float
) -> list[Priced]:
    """Return the options with their damage predicted: it grows with the noise as that of the first was measured.

    Args:
        group: whose options they are.
        options: in any order but for the first, which damage was measured with.
        damage: as measured.
        macs: of all linear layers.
        coverage: least share of MACs in integers.
    """
    reference = options[0].noise.noise
    return [
        Priced(
            damage=damage.divergence * option.noise.noise / reference if reference else 0.0,
            cost=option.cost_us,
            uses=_uses(group, option, macs=macs, coverage=coverage),
        )
        for option in options
    ]


def _uses(group: Group, option: Option, *, macs: int, coverage: float) -> dict[str, float]:
    """Return how much of each limit an option uses.

    Outlier channels are multiplied in float on top of the model's MACs. So integer MACs ≥ coverage · (all + extra
    MACs), and what counts towards the coverage are integer MACs less their share of the extra ones.
    """
    quantized = option.choice.scheme != "float"
    share = group.macs / macs if quantized else 0.0
    extra = option.choice.extra_macs(group.outputs) / macs
    return {_QUANTIZED: float(quantized), _COVERAGE: share - coverage * extra}
