"""The trials: successive halving over interleaved rounds, under a time budget.

Optuna's TPE and the like earn their keep where trials are dear and the space is smooth. Here a trial is short, noise is
larger than most differences, and the map is small: what helps is to spend the time on those that may win, and to
compare within rounds.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quantkit.errors import QuantkitError
from quantkit.records.tune import TuneSkipped, TuneTrial
from quantkit.runtime.profile import RuntimeProfile
from quantkit.stages.tune.space import SETTINGS, key, profile_map, together, variations
from quantkit.throughput import Spread, spread_of

_LOG = logging.getLogger(__name__)
_MAP, _AGAIN, _OPTIONS = 0.35, 0.55, 0.75
"""Shares of the budget that have passed when a step ends; the rest decides between the best."""
_SURE, _FEWEST, _LATEST = 5, 3, 1.5
"""Rounds from which an interval holds with 90 %; fewer, down to the fewest, when so many budgets have passed."""
_EVERY = 6
"""The default is measured again before each so many others."""
_VISIT = 1.5
"""What a visit costs in passes: opening, warming up, the pass itself."""

Measure = Callable[[RuntimeProfile, int], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What the trials end with.

    Attributes:
        profile: the best, or the default when nothing is surely better.
        ratios: of the best to the default.
        qps: of the profile.
        sure: the best is better than the default, noise included.
    """

    profile: RuntimeProfile
    ratios: Spread
    qps: float
    sure: bool


@dataclass(kw_only=True, slots=True)
class Trials:
    """Profiles, tried until the time is over.

    Attributes:
        reference: the profile of every ratio.
        measure: profile, rows → rows per second; raises a `QuantkitError` for a profile that cannot be run.
        rows: how many rows there are at most.
        fewest: how many rows a pass needs to mean anything.
        tokens: mean tokens of a row.
        budget: seconds for all of them.
        clock: seconds.
        advance: called with the seconds that passed, for the progress bar.
        done: what was measured, in order.
        skipped: what could not be.
    """

    reference: RuntimeProfile
    measure: Measure
    rows: int
    fewest: int
    tokens: float
    budget: float
    clock: Callable[[], float]
    advance: Callable[[int], None]
    done: list[TuneTrial] = field(default_factory=list)
    skipped: list[TuneSkipped] = field(default_factory=list)
    _started: float = 0.0
    _told: int = 0

    def run(self, *, cores: int, runtimes: Sequence[str], engines: Sequence[str], max_spread: float) -> Found:
        """Try profiles.

        Args:
            cores: how many may be used.
            runtimes: the runtimes to try.
            engines: the engines to try.
            max_spread: the last step ends early when the interval of the best is no wider.

        Raises:
            QuantkitError: the default profile cannot be run.
        """
        self._started = self.clock()
        speed = self.measure(self.reference, self.fewest)
        rows, candidates = self._first(speed, cores, runtimes)
        scores = self._rung("map", candidates, rows, until=_MAP)
        best = _best(scores, max(2, len(scores) // 4))
        larger = [
            profile.model_copy(update={"token_budget": 2 * profile.token_budget})
            for profile in best[:1]
            if 2 * profile.token_budget * profile.instances <= 0.5 * self.rows * self.tokens
        ]
        rows = min(self.rows, 2 * rows)
        scores = self._rung("map again", [*best, *larger], rows, until=_AGAIN, rounds=2)
        top = (_best(scores, 1) or [self.reference])[0]
        varied = list(variations(top, engines))
        options = self._rung("options", [top, *varied], rows, until=_OPTIONS, rounds=2)
        merged = _merged(top, varied, options)
        finalists = _best({**scores, **options}, 2)
        return self._decide([*merged, *finalists], rows, max_spread)

    def _first(self, speed: float, cores: int, runtimes: Sequence[str]) -> tuple[int, list[RuntimeProfile]]:
        """Choose how many rows a visit of the map may have, and which token budgets fill so many evenly."""
        every = profile_map(self.reference, cores=cores, runtimes=runtimes, largest=float("inf"))
        seconds = _MAP * self.budget / (_VISIT * len(every) * (1 + 1 / _EVERY))
        rows = max(self.fewest, min(self.rows, int(speed * seconds)))
        # An instance with fewer than two batches is mostly waiting for the others.
        fitting = profile_map(self.reference, cores=cores, runtimes=runtimes, largest=rows * self.tokens / 2)
        if fitting:
            return rows, fitting
        smallest = min(profile.token_budget for profile in every)
        return rows, [profile for profile in every if profile.token_budget == smallest]

    def _rung(
        self, step: str, profiles: Sequence[RuntimeProfile], rows: int, *, until: float, rounds: int = 1
    ) -> dict[tuple[object, ...], tuple[float, RuntimeProfile]]:
        """Measure each profile once per round while there is time, and return ratio and profile by key."""
        unique = list({key(profile): profile for profile in profiles}.values())
        rates: dict[tuple[object, ...], list[tuple[float, float]]] = {}
        visits, reference = 0, 0.0
        for _ in range(rounds):
            for profile in unique:
                if self._share > until and rates:
                    break
                if visits % _EVERY == 0:
                    reference = self.measure(self.reference, rows)
                visits += 1
                rate = self._visit(profile, rows)
                if rate is not None:
                    rates.setdefault(key(profile), []).append((rate, rate / reference))
                self._tell()
        by_key = {key(profile): profile for profile in unique}
        for found, pairs in rates.items():
            self._keep(step, by_key[found], pairs, rows)
        return {
            found: (spread_of([ratio for _, ratio in pairs]).median, by_key[found])
            for found, pairs in rates.items()
        }

    def _decide(self, profiles: Sequence[RuntimeProfile], rows: int, max_spread: float) -> Found:
        """Compare the best few with the default, round by round, until the best is clear or the time is over."""
        finalists = [
            profile
            for profile in {key(profile): profile for profile in profiles}.values()
            if key(profile) != key(self.reference)
        ]
        rates: dict[tuple[object, ...], list[tuple[float, float]]] = {key(one): [] for one in finalists}
        defaults: list[float] = []
        while finalists:
            defaults.append(self.measure(self.reference, rows))
            for profile in list(finalists):
                rate = self._visit(profile, rows)
                if rate is None:
                    finalists.remove(profile)
                else:
                    rates[key(profile)].append((rate, rate / defaults[-1]))
                self._tell()
            spreads = [spread_of([ratio for _, ratio in rates[key(one)]]) for one in finalists]
            enough = len(defaults) >= _SURE
            if enough and all(spread.width <= max_spread for spread in spreads):
                break
            if self._share >= (1 if enough else _LATEST) and len(defaults) >= _FEWEST:
                break
        for profile in finalists:
            self._keep("final", profile, rates[key(profile)], rows)
        if not finalists:
            rate = self.measure(self.reference, rows)
            return Found(profile=self.reference, ratios=spread_of([1.0]), qps=rate, sure=False)
        best = max(finalists, key=lambda one: spread_of([ratio for _, ratio in rates[key(one)]]).median)
        ratios = spread_of([ratio for _, ratio in rates[key(best)]])
        if ratios.interval[0] <= 1 or len(defaults) < _SURE:
            return Found(profile=self.reference, ratios=ratios, qps=spread_of(defaults).median, sure=False)
        qps = spread_of([rate for rate, _ in rates[key(best)]]).median
        return Found(profile=best, ratios=ratios, qps=qps, sure=True)

    def _visit(self, profile: RuntimeProfile, rows: int) -> float | None:
        try:
            return self.measure(profile, rows)
        except QuantkitError as error:
            # One that cannot run here (no mask to leave out, a runtime that refuses the graph) is no candidate.
            _LOG.debug("%s: %s", profile, error)
            if not any(one.profile == facts(profile) for one in self.skipped):
                self.skipped.append(TuneSkipped(profile=facts(profile), reason=str(error)))
            return None

    def _keep(
        self, step: str, profile: RuntimeProfile, pairs: Sequence[tuple[float, float]], rows: int
    ) -> None:
        ratios = spread_of([ratio for _, ratio in pairs])
        self.done.append(
            TuneTrial(
                step=step,
                profile=facts(profile),
                qps=spread_of([rate for rate, _ in pairs]).median,
                ratio=ratios.median,
                interval=ratios.interval,
                windows=rows,
                rounds=len(pairs),
            )
        )

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return self.clock() - self._started

    @property
    def _share(self) -> float:
        return self.seconds / self.budget

    def _tell(self) -> None:
        passed = min(int(self.seconds), int(self.budget))
        self.advance(passed - self._told)
        self._told = passed


def facts(profile: RuntimeProfile) -> dict[str, object]:
    """Return the settings of a profile that are tried."""
    return {name: getattr(profile, name) for name in SETTINGS}


def _best(scores: dict[tuple[object, ...], tuple[float, RuntimeProfile]], count: int) -> list[RuntimeProfile]:
    """Return the profiles of the highest ratios; of equal ones those that were tried first."""
    return [profile for _, profile in sorted(scores.values(), key=lambda pair: -pair[0])[:count]]


def _merged(
    top: RuntimeProfile,
    varied: Sequence[RuntimeProfile],
    scores: dict[tuple[object, ...], tuple[float, RuntimeProfile]],
) -> list[RuntimeProfile]:
    """Return the best profile with all the options together that did well alone."""
    base = scores.get(key(top), (1.0, top))[0]
    ranked = sorted(
        (scores[key(other)] for other in varied if key(other) in scores), key=lambda pair: -pair[0]
    )
    better = [profile for ratio, profile in ranked if ratio > base]
    return [together(top, better)] if len(better) > 1 else []
