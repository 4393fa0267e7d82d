"""Options: the choices that each group has, the noise each makes, and what each costs here.

Whatever costs nothing at run time is settled per group beforehand, by the noise on calibration data: smoothing factors,
range method, rounding, bias correction. What is left to the search are the schemes, which differ in speed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from quantkit.exam.exam import TOKEN_BUDGET
from quantkit.graph.blockwise_probe import multiplies_integers
from quantkit.graph.linear import Linear
from quantkit.latency.cost import measure_costs
from quantkit.mixed_precision.group_model import CostRequest
from quantkit.mixed_precision.groups import Group
from quantkit.mixed_precision.noise import FloatOutputs, Noise, best_range, float_outputs, measure_noise
from quantkit.mixed_precision.workbench import Workbench
from quantkit.progress import track
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.treatments.outliers import worthwhile_counts
from quantkit.quantization.treatments.split import COPIES, sticks_out

_TIE = 0.05
STATIC = Choice(scheme="static", smooth="auto", rounding="gptq", bias_correction=True)
PLAIN = Choice(scheme="static", rounding="gptq", bias_correction=True)
# Counts of outlier channels that are tried, if each leaves much less noise than the one before.
OUTLIERS = (8, 32)
DYNAMIC = Choice(scheme="dynamic", smooth="auto", rounding="gptq", bias_correction=True)
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


def references(workbench: Workbench) -> dict[str, Rated]:
    """Return group name → its smoothed static choice."""
    found = {}
    with track("noise", len(workbench.groups), "groups") as advance:
        for group in workbench.groups:
            members = workbench.members(group)
            static = replace(STATIC, rounding=workbench.rounding)
            choice = best_range(group.tensor, members, static, workbench.evidence)
            found[group.name] = _rated(workbench, _float_outputs(workbench, group), choice)
            advance(1)
    return found


def list_options(workbench: Workbench, *, seconds: float) -> Options:
    """Return every group's choices.

    Args:
        workbench: groups and evidence.
        seconds: how long measuring costs may take.

    Raises:
        QuantizationError: onnxruntime does not run a scheme's kernels.
    """
    offered = {group.name: _offered(workbench, group) for group in workbench.groups}
    wanted = [
        _request(workbench, group, choice) for group in workbench.groups for choice in offered[group.name]
    ]
    costs = measure_costs(wanted, tokens=TOKEN_BUDGET, seconds_budget=seconds)
    found = {}
    with track("noise", len(workbench.groups), "groups") as advance:
        for group in workbench.groups:
            outputs = _float_outputs(workbench, group)
            rated = [_rated(workbench, outputs, choice) for choice in offered[group.name]]
            found[group.name] = worthwhile(
                [
                    Option(
                        choice=one.choice,
                        noise=one.noise,
                        cost_us=costs[_request(workbench, group, one.choice)],
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


def _float_outputs(workbench: Workbench, group: Group) -> FloatOutputs:
    return float_outputs(group.tensor, workbench.members(group), workbench.evidence)


def _rated(workbench: Workbench, outputs: FloatOutputs, choice: Choice) -> Rated:
    return Rated(choice=choice, noise=measure_noise(outputs, choice, workbench.evidence, workbench.grid))


def _offered(workbench: Workbench, group: Group) -> Sequence[Choice]:
    """Return the choices of a group; static ones that treat no channel apart have the best range method."""
    members, evidence = workbench.members(group), workbench.evidence
    rounding = workbench.rounding
    static = best_range(group.tensor, members, replace(STATIC, rounding=rounding), evidence)
    if group.pooled:
        # MatMulNBits and the float kernel cost the same on one vector a row.
        return (static, FLOAT)
    plain = (
        ()
        if group.foldable
        else (best_range(group.tensor, members, replace(PLAIN, rounding=rounding), evidence),)
    )
    # Where a CPU has no integer kernel for a block size, MatMulNBits is a slow float product.
    blockwise = [choice for choice in BLOCKWISE if multiplies_integers(choice.block_size, zero_points=False)]
    outliers = _with_outliers(group, members, workbench)
    return (
        static,
        *plain,
        *outliers,
        *_with_copies(group, members, workbench),
        replace(DYNAMIC, rounding=rounding),
        *blockwise,
        FLOAT,
    )


def _with_outliers(group: Group, members: Sequence[Linear], workbench: Workbench) -> Iterator[Choice]:
    """Yield the choices with outlier channels whose absence leaves much less noise, without smoothing and with it."""
    seen, matrices = workbench.evidence.statistics[group.tensor], [layer.matrix() for layer in members]
    for choice in (PLAIN, STATIC):
        for count in worthwhile_counts(seen, matrices, OUTLIERS, smoothed=choice.smooth is not None):
            yield replace(choice, outliers=count, rounding=workbench.rounding)


def _with_copies(group: Group, members: Sequence[Linear], workbench: Workbench) -> Iterator[Choice]:
    """Yield the choice with split channels where one sticks out, and copying the tensor is little of the work."""
    if group.foldable or sum(group.outputs) < group.inputs:
        return
    seen, matrices = workbench.evidence.statistics[group.tensor], [layer.matrix() for layer in members]
    if sticks_out(seen, matrices, COPIES):
        yield replace(STATIC, split=COPIES, rounding=workbench.rounding)


def _request(workbench: Workbench, group: Group, choice: Choice) -> CostRequest:
    integer = choice.scheme in ("static", "dynamic")
    return CostRequest(
        inputs=group.inputs,
        outputs=group.outputs,
        scheme=choice.scheme,
        smoothed=integer and choice.smooth is not None and not group.foldable,
        outliers=choice.outliers,
        split=choice.split,
        block_size=choice.block_size if choice.scheme == "blockwise" else None,
        weight_type=workbench.grid.weight_type if integer else "int8",
    )
