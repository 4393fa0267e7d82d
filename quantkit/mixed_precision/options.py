"""Options: the choices that each group has, the noise each makes, and what each costs here.

Whatever costs nothing at run time is settled per group beforehand, by the noise on calibration data: smoothing factors,
range method, rounding, bias correction. What is left to the search are the schemes, which differ in speed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial

from quantkit.allocation.journal import Journal
from quantkit.exam.exam import TOKEN_BUDGET
from quantkit.graph.blockwise_probe import multiplies_integers
from quantkit.latency.cost import measure_costs
from quantkit.mixed_precision.group_model import CostRequest
from quantkit.mixed_precision.groups import Group
from quantkit.mixed_precision.noise import FloatOutputs, Noise, best_range, float_outputs, measure_noise
from quantkit.mixed_precision.workbench import Workbench
from quantkit.progress import track
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.treatments import TREATMENTS, Smooth, in_order

_TIE = 0.05
STATIC = Choice(scheme="static", treatments=(Smooth(),), rounding="gptq", bias_correction=True)
PLAIN = Choice(scheme="static", rounding="gptq", bias_correction=True)
DYNAMIC = Choice(scheme="dynamic", treatments=(Smooth(),), rounding="gptq", bias_correction=True)
BLOCKWISE = tuple(Choice(scheme="blockwise", block_size=size) for size in (32, 128, 256))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rated:
    """One choice for one group, and its noise."""

    choice: Choice
    noise: Noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Option(Rated):
    """The same with its cost, microseconds per 1,000 tokens on one thread."""

    cost_us: float


Options = Mapping[str, tuple[Option, ...]]
"""Group name → its choices; the first is the reference, which sensitivity is measured with."""


def references(workbench: Workbench, journal: Journal) -> dict[str, Rated]:
    """Return group name → its smoothed static choice; the journal has the noise that was computed before."""
    found = {}
    with track("noise", len(workbench.groups), "groups") as advance:
        for group in workbench.groups:
            members = workbench.members(group)
            choice = best_range(group.tensor, members, workbench.fitted(STATIC), workbench.treated)
            (found[group.name],) = _rated(workbench, group, [choice], journal)
            advance(1)
    return found


def list_options(workbench: Workbench, journal: Journal, *, seconds: float) -> Options:
    """Return every group's choices.

    Args:
        workbench: groups, and what calibration saw.
        journal: has the noise that was computed before.
        seconds: how long measuring costs may take.

    Raises:
        QuantizationError: onnxruntime does not run a scheme's kernels.
    """
    offered = {}
    with track("choices", len(workbench.groups), "groups") as advance:
        for group in workbench.groups:
            offered[group.name] = _offered(workbench, group)
            advance(1)
    wanted = [_request(group, choice) for group in workbench.groups for choice in offered[group.name]]
    costs = measure_costs(wanted, tokens=TOKEN_BUDGET, seconds_budget=seconds)
    found = {}
    with track("noise", len(workbench.groups), "groups") as advance:
        for group in workbench.groups:
            rated = _rated(workbench, group, offered[group.name], journal)
            found[group.name] = worthwhile(
                [
                    Option(
                        choice=one.choice,
                        noise=one.noise,
                        cost_us=costs[_request(group, one.choice)],
                    )
                    for one in rated
                ]
            )
            advance(1)
    return found


def worthwhile(options: Sequence[Option]) -> tuple[Option, ...]:
    """Return the options less those that an earlier one equals: hardly slower, and hardly more noise.

    Times and noise are measured, and a tie must not be decided by chance. The static choice comes before the dynamic
    one, whose range on another batch is not known.
    """
    kept: list[Option] = []
    for option in options:
        if not any(
            other.cost_us <= option.cost_us * (1 + _TIE)
            and other.noise.noise <= option.noise.noise * (1 + _TIE)
            for other in kept
        ):
            kept.append(option)
    return tuple(kept)


def _rated(workbench: Workbench, group: Group, choices: Sequence[Choice], journal: Journal) -> list[Rated]:
    """Return the choices with their noise."""

    @cache
    def outputs() -> FloatOutputs:
        return float_outputs(group.tensor, workbench.members(group), workbench.treated)

    def noise_of(choice: Choice) -> Noise:
        found = journal.remembered(
            {"noise": group.name, "choice": repr(choice)},
            lambda: asdict(measure_noise(outputs(), choice, workbench.treated)),
        )
        return Noise(**found)

    return [Rated(choice=choice, noise=noise_of(choice)) for choice in choices]


def _offered(workbench: Workbench, group: Group) -> Sequence[Choice]:
    """Return the choices of a group; static ones that are smoothed or plain have the best range method."""
    ranged = partial(best_range, group.tensor, workbench.members(group), treated=workbench.treated)
    static = ranged(workbench.fitted(STATIC))
    finer = [ranged(workbench.fitted(STATIC, grid)) for grid in workbench.grids[1:]]
    if group.pooled:
        # MatMulNBits and the float kernel cost the same on one vector a row.
        return (static, *finer, FLOAT)
    # Where a CPU has no integer kernel for a block size, MatMulNBits is a slow float product.
    blockwise = [choice for choice in BLOCKWISE if multiplies_integers(choice.block_size, zero_points=False)]
    return (
        static,
        *(() if group.foldable else (ranged(workbench.fitted(PLAIN)),)),
        *_treated(group, workbench),
        *finer,
        workbench.fitted(DYNAMIC),
        *blockwise,
        FLOAT,
    )


def _treated(group: Group, workbench: Workbench) -> Iterator[Choice]:
    """Yield static choices with what each treatment offers for the group, without smoothing and with it."""
    members, seen = workbench.members(group), workbench.treated.statistics[group.tensor]
    for kind in reversed(TREATMENTS):
        for choice in (PLAIN, STATIC):
            for offer in kind.offered(members, seen, choice, foldable=group.foldable):
                treatments = in_order((*choice.treatments, offer))
                yield workbench.fitted(replace(choice, treatments=treatments))


def _request(group: Group, choice: Choice) -> CostRequest:
    timed = [treatment.timed(foldable=group.foldable) for treatment in choice.treatments]
    return CostRequest(
        inputs=group.inputs,
        outputs=group.outputs,
        scheme=choice.scheme,
        treatments=tuple((treatment.setting, treatment.value) for treatment in timed if treatment),
        block_size=choice.block_size if choice.scheme == "blockwise" else None,
        grid=choice.grid.name,
    )
