"""Goal: what a candidate must keep, as limits for the solver and as a check of what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from quantkit.allocation.slots import Limit
from quantkit.errors import UsageError
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes.slots import PARAMETERS, PRESENT, SIZE

_MB = 10**6
_GIVE = "--min-throughput, --max-latency, --max-parameters, --max-size-mb, --max-l3-mb or --min-f1-ratio"


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What is in no block, and so the same in every candidate.

    Attributes:
        parameters: embeddings, layer normalizations, head.
        size: bytes of the INT8 file that are in no block.
        activations: bytes of a batch's activations.
        cost: microseconds per 1,000 tokens.
    """

    parameters: int
    size: int
    activations: int
    cost: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What was asked, in the units of the solver.

    Attributes:
        cost: most microseconds per 1,000 tokens of the whole model; infinite without a limit.
        limits: on the blocks together.
        ratio: least ratio of the expected score; None without.
        asked: option → value, as given.
    """

    cost: float
    limits: tuple[Limit, ...]
    ratio: float | None
    asked: Mapping[str, float]


def goal_of(settings: SearchSettings, beside: Beside, teacher_cost: float, tokens: int) -> Goal:
    """Return what the settings ask for.

    Raises:
        UsageError: nothing is asked, or what is in no block alone is beyond a limit.
    """
    asked = {
        name: float(value)
        for name, value in {
            "min_throughput": settings.throughput,
            "max_latency": settings.max_latency,
            "max_parameters": settings.max_parameters,
            "max_size_mb": settings.max_size_mb,
            "max_l3_mb": settings.max_l3_mb,
            "min_f1_ratio": settings.min_f1_ratio,
        }.items()
        if value is not None
    }
    if not asked:
        raise UsageError(f"nothing is asked of the smaller model; give {_GIVE}")
    costs = [float("inf")]
    if settings.throughput is not None:
        costs.append(teacher_cost / settings.throughput)
    if settings.max_latency is not None:
        costs.append(settings.max_latency * 1000 * 1000 / tokens)
    limits = [Limit(name=name, at_least=1) for name in PRESENT.values()]
    for option, name, most, taken in (
        ("--max-parameters", PARAMETERS, settings.max_parameters, beside.parameters),
        ("--max-size-mb", SIZE, _bytes(settings.max_size_mb), beside.size),
        ("--max-l3-mb", SIZE, _bytes(settings.max_l3_mb), beside.size + beside.activations),
    ):
        if most is None:
            continue
        if most <= taken:
            unit = 1 if name == PARAMETERS else _MB
            raise UsageError(
                f"{option} {most / unit:g}: what is in no layer (embeddings, head) takes {taken / unit:,.6g} of it; "
                "ask for more, or give a teacher with a smaller vocabulary"
            )
        limits.append(Limit(name=name, at_most=most - taken))
    return Goal(cost=min(costs), limits=tuple(limits), ratio=settings.min_f1_ratio, asked=asked)


def _bytes(megabytes: float | None) -> float | None:
    return None if megabytes is None else megabytes * _MB
