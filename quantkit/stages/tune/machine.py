"""What measures a profile: engines that are kept open for a while, and the rows in batches of the profile."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from quantkit.engines import open_engine
from quantkit.errors import EvaluationError
from quantkit.runtime.engine import Closing, Engine
from quantkit.runtime.profile import RuntimeProfile
from quantkit.tasks.prepared import Prepared
from quantkit.throughput import HighestRate, Trial, Workload, highest_rates, lone_latency, serve, workload

_MEMORY, _MOST = 1_000_000_000, 8
"""So many bytes of models, and so many engines, stay open besides the default's."""
_STEPS, _FACTOR, _FULL = 4, 1.3, 0.6

Objective = Callable[[Workload], float]


def offline(load: Workload) -> float:
    """Return windows per second with all of them there at once."""
    return load.offline_rate()


class HeldRate:
    """The highest rate of random arrivals of which 99 % are answered in time."""

    def __init__(self, bound: float, seed: int) -> None:
        """Take the bound in seconds, and the seed of the arrivals."""
        self._bound, self._seed = bound, seed
        self._known: float | None = None

    def __call__(self, load: Workload) -> float:
        """Return the rate; from the second call on it is looked for around the first one's.

        Raises:
            EvaluationError: no rate is held.
        """
        alone = lone_latency(load)
        if alone > self._bound:
            raise EvaluationError(
                f"{load.engine.name}: takes {1000 * alone:.3g} ms for one question, more than the bound of "
                f"{1000 * self._bound:g} ms; allow more"
            )
        start = self._known or _FULL * load.offline_rate()
        highest = HighestRate(start, factor=_FACTOR, steps=_STEPS)

        def try_rate(_: int, rate: float) -> Trial:
            return serve(load, rate=rate, bound=self._bound, seed=self._seed)

        highest_rates([highest], try_rate, lambda: None)
        if highest.best is None:
            raise EvaluationError(
                f"{load.engine.name}: holds {1000 * self._bound:g} ms at no rate; allow more"
            )
        self._known = self._known or highest.best.rate
        return highest.best.rate


class Machine(Closing):
    """Measures profiles of one model; a context manager that closes what it opened."""

    def __init__(
        self,
        path: Path,
        prepared: Prepared,
        objective: Objective,
        reference: RuntimeProfile,
        *,
        model_bytes: int,
        name: str | None = None,
    ) -> None:
        """Take a model, its rows and what is measured of them; the engine of `reference` stays open."""
        self._path, self._prepared, self._objective = path, prepared, objective
        self._name = name or str(path)
        self._reference = _engine_key(reference)
        self._most = max(1, min(_MOST, _MEMORY // max(1, model_bytes)))
        self._engines: OrderedDict[tuple[object, ...], Engine] = OrderedDict()

    def measure(self, profile: RuntimeProfile, rows: int) -> float:
        """Warm up, run so many rows, and return how many a second.

        Raises:
            QuantkitError: the profile cannot be run.
        """
        engine = self._engine(profile)
        load = workload(self._prepared.first(rows), engine, profile)
        load.warm_up()
        return self._objective(load)

    def _engine(self, profile: RuntimeProfile) -> Engine:
        key = _engine_key(profile)
        if key not in self._engines:
            for other in list(self._engines):
                if len(self._engines) > self._most and other != self._reference:
                    self._engines.pop(other).close()
            outputs = self._prepared.reader.task.outputs
            self._engines[key] = open_engine(self._path, outputs=outputs, profile=profile, name=self._name)
        self._engines.move_to_end(key)
        return self._engines[key]

    def close(self, *, abandon: bool = False) -> None:
        """Close all engines; with `abandon` at once."""
        for engine in self._engines.values():
            engine.close(abandon=abandon)
        self._engines.clear()


def _engine_key(profile: RuntimeProfile) -> tuple[object, ...]:
    """Return what an engine is opened with; how batches are cut is not part of it."""
    return (
        profile.runtime,
        profile.engine,
        profile.instances,
        profile.threads,
        profile.pinned,
        profile.spinning,
        profile.arena,
        profile.equal_lengths,
    )
