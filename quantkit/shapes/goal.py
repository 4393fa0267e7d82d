"""Goal: what a candidate must keep, as limits for the solver and as a check of what was measured."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from quantkit.allocation.slots import Limit
from quantkit.errors import UsageError
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes.slots import COVERAGE, PARAMETERS, PRESENT, SIZE

COST = "cost"
"""The use that limits on speed are on: microseconds per 1,000 tokens."""
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
class Bound:
    """One option that was given, as a limit on the blocks together.

    Attributes:
        option: as it was given, with its value.
        limit: on the use of that name.
        taken: what is in no block, in the unit of the limit.
        told: a sum over a whole model, as people read it.
    """

    option: str
    limit: Limit
    taken: float
    told: Callable[[float], str]

    def nearest(self, blocks: float) -> str:
        """Return what a sum over the blocks is in the unit of the option."""
        return self.told(blocks + self.taken)

    @property
    def relaxed(self) -> str:
        """How to ask for what is nearer."""
        return "ask for less" if self.option.startswith("--min") else "allow more"


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """What was asked, in the units of the solver.

    Attributes:
        cost: most microseconds per 1,000 tokens of the whole model; infinite without a limit.
        limits: on the blocks together.
        ratio: least ratio of the expected score; None without.
        asked: option → value, as given.
        bounds: what was asked of speed and size, option by option.
    """

    cost: float
    limits: tuple[Limit, ...]
    ratio: float | None
    asked: Mapping[str, float]
    bounds: tuple[Bound, ...] = ()


def asked_of(settings: SearchSettings) -> dict[str, float]:
    """Return option → value of what is asked.

    Raises:
        UsageError: nothing is.
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
    return asked


def goal_of(settings: SearchSettings, beside: Beside, teacher_cost: float, tokens: int) -> Goal:
    """Return what the settings ask for.

    Raises:
        UsageError: nothing is asked, or what is in no block alone is beyond a limit.
    """
    asked = asked_of(settings)
    bounds = list(_speeds(settings, beside.cost, teacher_cost, tokens))
    cost = min([float("inf"), *(bound.limit.at_most + beside.cost for bound in bounds)])
    limits = [Limit(name=name, at_least=1) for name in PRESENT.values()]
    if settings.float_blocks:
        limits.append(Limit(name=COVERAGE, at_least=0))
    tables = "embeddings and head, which are in no layer,"
    batch = f"{tables} and a batch's activations"
    for option, name, most, taken, what in (
        ("--max-parameters", PARAMETERS, settings.max_parameters, beside.parameters, tables),
        ("--max-size-mb", SIZE, _bytes(settings.max_size_mb), beside.size, tables),
        ("--max-l3-mb", SIZE, _bytes(settings.max_l3_mb), beside.size + beside.activations, batch),
    ):
        if most is None:
            continue
        told = _counted if name == PARAMETERS else _megabytes
        if most <= taken:
            raise UsageError(
                f"{option} {told(most).split()[0]}: {what} are {told(taken)}; allow more, or give a smaller teacher"
            )
        limit = Limit(name=name, at_most=most - taken)
        limits.append(limit)
        bounds.append(Bound(option=f"{option} {told(most).split()[0]}", limit=limit, taken=taken, told=told))
    return Goal(
        cost=cost, limits=tuple(limits), ratio=settings.min_f1_ratio, asked=asked, bounds=tuple(bounds)
    )


def _speeds(settings: SearchSettings, beside: float, teacher: float, tokens: int) -> Iterator[Bound]:
    if settings.throughput is not None:
        yield Bound(
            option=f"--min-throughput {settings.throughput:g}",
            limit=Limit(name=COST, at_most=teacher / settings.throughput - beside),
            taken=beside,
            told=lambda cost: f"{teacher / cost:.3g} times",
        )
    if settings.max_latency is not None:
        yield Bound(
            option=f"--max-latency {settings.max_latency:g}",
            limit=Limit(name=COST, at_most=settings.max_latency * 1000 * 1000 / tokens - beside),
            taken=beside,
            told=lambda cost: f"{cost * tokens / 1000 / 1000:.3g} ms",
        )


def _counted(parameters: float) -> str:
    return f"{parameters:.0f}"


def _megabytes(size: float) -> str:
    return f"{size / _MB:.6g} MB"


def _bytes(megabytes: float | None) -> float | None:
    return None if megabytes is None else megabytes * _MB
