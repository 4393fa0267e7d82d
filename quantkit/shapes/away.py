"""Away: candidates that depend on none of each other, healed and judged by workers on a cluster.

A worker makes the very trials that would be made here, with a journal of its own, and what that journal says comes
back: so whoever asks here finds it known, as after an earlier search. Nothing is timed beside the teacher there.
"""

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from quantkit.allocation.journal import Journal
from quantkit.exam.exam import Exam
from quantkit.files import CACHE
from quantkit.graph.model import load_model, save_model
from quantkit.one_blas_thread import one_blas_thread
from quantkit.progress import track
from quantkit.quantization.grids import Grid
from quantkit.quantization.observe import Observations
from quantkit.records.shapes import UNHEALED
from quantkit.runtime.where import HERE
from quantkit.shapes.baselines import by_magnitude
from quantkit.shapes.blocks import Block
from quantkit.shapes.options import Ladder, parts_of
from quantkit.shapes.order import Narrowed
from quantkit.shapes.price import Load
from quantkit.shapes.quantized import Bench
from quantkit.shapes.slots import Units
from quantkit.shapes.trials import Trials, candidate_key

Parts = dict[Block, Narrowed]
Workers = Callable[[Path, "TrialKit", Sequence["Errand"]], Generator[tuple[int, Any], None, None]]
"""Does errands, as `quantkit.cluster.errands.Errands` does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """A candidate to be healed and judged.

    Attributes:
        units: block → option.
        narrowed: its narrowed blocks, before they are healed.
        magnitude: as in `Trials.parts`.
        final: the blocks that it is judged with, where they are known; None: they are to be healed.
    """

    units: Units
    narrowed: Parts
    magnitude: bool
    final: Parts | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What came of an errand.

    Attributes:
        healed: its blocks, where they were healed there.
        lines: of the journal.
        singular: why its blocks could not be solved; empty where they could.
    """

    healed: Parts | None = None
    lines: Sequence[dict[str, Any]] = ()
    singular: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialKit:
    """What trials are made of, beside the teacher's graph and the blocks of a candidate; see `Kit` of the cluster."""

    observations: Observations
    grid: Grid
    blocks: Sequence[Block]
    exam: Exam
    held_out: Exam
    key: str
    load: Load

    @classmethod
    def of(cls, trials: Trials) -> "TrialKit":
        """Return what a worker needs of trials: neither moments nor the ladders of all blocks."""
        seen = trials.bench.observations
        job = None if seen.job is None else replace(seen.job, where=HERE)
        return cls(
            observations=Observations(statistics={}, job=job, key=seen.key),
            grid=trials.bench.grid,
            blocks=tuple(trials.blocks),
            exam=trials.exam.here(),
            held_out=trials.held_out.here(),
            key=trials.journal.key,
            load=trials.load,
        )

    def begin(self, model: Path) -> ir.Model:
        """Return the teacher's graph, with all its weights in memory."""
        graph = load_model(model)
        ir.external_data.load_to_model(graph)
        return graph

    def do(self, begun: ir.Model, errand: Errand) -> Done:
        """Heal and judge a candidate."""
        with _cache_of_its_own(), one_blas_thread():
            key = candidate_key(errand.units, magnitude=errand.magnitude)
            trials = Trials(
                bench=Bench(model=begun, observations=self.observations, grid=self.grid),
                blocks=self.blocks,
                ladders={
                    block: Ladder(block=block, order=np.array([], np.int64), parts={len(part.units): part})
                    for block, part in errand.narrowed.items()
                },
                exam=self.exam,
                held_out=self.held_out,
                journal=Journal(self.key),
                load=self.load,
                known={} if errand.final is None else {key: errand.final},
            )
            try:
                trials.judged(errand.units, magnitude=errand.magnitude)
                healed = trials.parts(errand.units) if errand.final is None else None
            except np.linalg.LinAlgError as error:
                return Done(singular=str(error))
            return Done(healed=healed, lines=trials.journal.written)


@dataclass(frozen=True, kw_only=True, slots=True)
class Away:
    """Lets workers heal and judge candidates.

    Attributes:
        trials: take what is found.
        workers: do it.
    """

    trials: Trials
    workers: Workers

    def __call__(self, asked: Mapping[str, Units]) -> dict[str, Exception]:
        """Send candidates out together, and write down what is found of each as soon as it is there.

        Args:
            asked: origin → block → option; what is known of them already is not found again.

        Returns:
            Origin → why a candidate cannot be built or judged.

        Raises:
            UsageError: there is no such cluster, or a node has other kernels or versions than this machine.
            EvaluationError: its cores are taken by others, or no worker comes up.
        """
        origins = [
            origin
            for origin, units in asked.items()
            if not self.trials.is_judged(units, magnitude=origin in UNHEALED)
        ]
        failed: dict[str, Exception] = {}
        if not origins:
            return failed
        errands = [self._errand(asked[origin], magnitude=origin in UNHEALED) for origin in origins]
        with (
            tempfile.TemporaryDirectory(prefix="quantkit-search-") as folder,
            track("on workers", len(origins), "candidates") as advance,
            ExitStack() as held,
        ):
            path = Path(folder) / "teacher.onnx"
            save_model(self.trials.bench.model.clone(), path)
            # Closed at once when this ends early: workers hold cores.
            done = held.enter_context(closing(self.workers(path, TrialKit.of(self.trials), errands)))
            for number, found in done:
                if isinstance(found, Exception):
                    failed[origins[number]] = found
                elif found.singular:
                    failed[origins[number]] = np.linalg.LinAlgError(found.singular)
                else:
                    self.trials.take(errands[number].units, found.healed, found.lines)
                advance(1)
        return failed

    def _errand(self, units: Units, *, magnitude: bool) -> Errand:
        trials = self.trials
        narrowed = parts_of(trials.ladders, units)
        final = by_magnitude(trials.bench, units) if magnitude else trials.left(units)
        return Errand(units=units, narrowed={} if magnitude else narrowed, magnitude=magnitude, final=final)


@contextmanager
def _cache_of_its_own() -> Iterator[None]:
    """Let there be a cache for what is not needed afterwards: what is kept is kept where the search is."""
    before = os.environ.get(CACHE)
    with tempfile.TemporaryDirectory(prefix="quantkit-search-") as folder:
        os.environ[CACHE] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[CACHE]
            else:
                os.environ[CACHE] = before
