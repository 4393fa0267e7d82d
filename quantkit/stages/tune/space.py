"""Which profiles there are to try."""

import math
from collections.abc import Iterator, Sequence

from quantkit.runtime.profile import RuntimeProfile

TOKEN_BUDGETS = (128, 256, 512, 1024, 2048, 4096, 8192)
SETTINGS = (
    "instances",
    "threads",
    "token_budget",
    "engine",
    "runtime",
    "pinned",
    "spinning",
    "arena",
    "equal_lengths",
)
"""The fields of a profile that are tried."""


def shapes(cores: int) -> list[tuple[int, int]]:
    """Return instances and threads of each that use all cores, most instances first.

    Of more than two cores also those that use half of them: two hardware threads of one core share what multiplies.
    """
    used = [cores] if cores < 4 or cores % 2 else [cores, cores // 2]
    return [
        (instances, count // instances)
        for count in used
        for instances in range(count, 0, -1)
        if count % instances == 0
    ]


def profile_map(
    base: RuntimeProfile, *, cores: int, runtimes: Sequence[str], largest: float
) -> list[RuntimeProfile]:
    """Return every runtime with every shape and every token budget that is no more than `largest` per instance.

    Those nearest to the base's budget come first, and runtimes take turns: when the time is short, each was tried.
    """
    near = sorted(TOKEN_BUDGETS, key=lambda budget: abs(math.log2(budget / base.token_budget)))
    return [
        base.model_copy(
            update={"runtime": runtime, "instances": instances, "threads": threads, "token_budget": budget}
        )
        for budget in near
        for instances, threads in shapes(cores)
        for runtime in runtimes
        if budget * instances <= largest
    ]


def variations(profile: RuntimeProfile, engines: Sequence[str]) -> Iterator[RuntimeProfile]:
    """Yield the profile with one option changed, for every option that can make a difference to it."""
    yield profile.model_copy(update={"equal_lengths": not profile.equal_lengths})
    yield profile.model_copy(update={"pinned": not profile.pinned})
    if profile.engine == "threads" and "processes" in engines:
        yield profile.model_copy(update={"engine": "processes", "pinned": True})
        yield profile.model_copy(update={"engine": "processes", "pinned": False})
    if profile.runtime == "onnxruntime":
        yield profile.model_copy(update={"arena": not profile.arena})
        if profile.threads > 1:
            yield profile.model_copy(update={"spinning": not profile.spinning})


def together(profile: RuntimeProfile, better: Sequence[RuntimeProfile]) -> RuntimeProfile:
    """Return the profile with every option in which one of the better ones differs from it; the first one wins."""
    changes: dict[str, object] = {}
    for other in better:
        for name in SETTINGS:
            if getattr(other, name) != getattr(profile, name):
                changes.setdefault(name, getattr(other, name))
    return profile.model_copy(update=changes)


def key(profile: RuntimeProfile) -> tuple[object, ...]:
    """Return what tells profiles apart."""
    return tuple(getattr(profile, name) for name in SETTINGS)
