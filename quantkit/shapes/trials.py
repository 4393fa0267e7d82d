"""Trials: candidates healed, built as INT8 and judged on the selection questions."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.allocation.journal import Journal
from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.files import digest_of
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import save_model
from quantkit.latency.cost import measure_beside, times_the_first
from quantkit.quantization.observe import Detail, Observations, observe
from quantkit.runtime.footprint import footprint
from quantkit.shapes.baselines import by_magnitude
from quantkit.shapes.blocks import Block
from quantkit.shapes.damage import sat
from quantkit.shapes.heal import heal
from quantkit.shapes.in_float import floats_of
from quantkit.shapes.kept import as_written, read_parts, write_parts
from quantkit.shapes.options import Ladder, parts_of
from quantkit.shapes.order import Narrowed
from quantkit.shapes.price import Load, WholeModel
from quantkit.shapes.quantized import Bench
from quantkit.shapes.slots import Units, named
from quantkit.throughput import Spread, spread_of

_HEALED_ROWS, _OBSERVED_ROWS = 128, 100
_TIMED_SECONDS = 10.0
_FINAL_ROUNDS, _FINAL_SECONDS = 31, 60.0
"""Of the finalists together, at most."""
TOKEN_BUDGET = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What was found of a candidate.

    Attributes:
        marks: on the selection questions, as INT8.
        parameters: in its blocks.
        size: of its INT8 model, bytes.
        l3: what an instance reads over and over, bytes.
    """

    marks: Marks
    size: int
    l3: int

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Judged":
        """Return what `as_json` wrote."""
        return cls(marks=Marks.from_json(found["marks"]), size=found["size"], l3=found["l3"])


@dataclass(kw_only=True, slots=True)
class Trials:
    """Builds candidates and judges each once.

    Attributes:
        bench: what they are made of.
        blocks: the teacher's, in order.
        ladders: every block's options.
        exam: the selection questions.
        held_out: the damage questions.
        journal: what was found before.
        load: what runs at once where whole models are timed.
        known: candidate (`candidate_key`) → its blocks as they are built, which are then not made here.
    """

    bench: Bench
    blocks: Sequence[Block]
    ladders: Mapping[Block, Ladder]
    exam: Exam
    held_out: Exam
    journal: Journal
    load: Load
    known: Mapping[str, dict[Block, Narrowed]] = field(default_factory=dict)
    _healed: dict[str, dict[Block, Narrowed]] = field(default_factory=dict)
    _last: tuple[str, ir.Model] | None = None
    """The candidate that was compared last, by its key, and the better of its two models: it is built next."""
    _taken: dict[str, dict[Block, Narrowed]] = field(default_factory=dict)
    """What was healed elsewhere, also where it cannot be kept on disk."""

    def parts(self, units: Units, *, magnitude: bool = False) -> dict[Block, Narrowed]:
        """Return the narrowed blocks of a candidate, healed where that helps; nothing for the teacher itself.

        Healed and not, both are built as the candidate would be and compared on the damage questions, which no
        projection was solved on.

        Args:
            units: block → option.
            magnitude: keep the units whose weights are largest, as they are, and heal nothing.
        """
        known = self.known.get(candidate_key(units, magnitude=magnitude))
        if known is not None:
            return known
        if magnitude:
            return by_magnitude(self.bench, units)
        key = digest_of(named(units))
        if key not in self._healed:
            parts = parts_of(self.ladders, units)
            self._healed[key] = self._kept(units, parts, key) if parts else parts
        return self._healed[key]

    def _kept(self, units: Units, parts: dict[Block, Narrowed], key: str) -> dict[Block, Narrowed]:
        """Return a candidate's blocks, healed where that helps, as an earlier search left them or made now."""
        path = self.journal.folder / f"{key}.npz"
        made: list[dict[Block, Narrowed]] = []

        def measure() -> dict[str, Any]:
            made.append(self._compared(units, parts, key))
            write_parts(path, made[0])
            return {"kept": path.name}

        # Written down too, for the seconds it took.
        self.journal.timed({"healed": named(units)}, measure)
        if not made and (found := self._left(units)) is not None:
            return found
        if not made:
            measure()
        return made[0]

    def _left(self, units: Units) -> dict[Block, Narrowed] | None:
        """Return the healed blocks of a candidate that somebody else left; None where there are none."""
        key = digest_of(named(units))
        return self._taken.get(key) or read_parts(self.journal.folder / f"{key}.npz", self.blocks)

    def left(self, units: Units) -> dict[Block, Narrowed] | None:
        """Return the healed blocks of a candidate that an earlier search left; None where they are to be made."""
        return self._left(units) if self.journal.knows({"healed": named(units)}) else None

    def is_judged(self, units: Units, *, magnitude: bool = False) -> bool:
        """Tell whether nothing is left to do of a candidate but to time it."""
        of = _judged(units, magnitude=magnitude)
        # Of one with all its units nothing is healed.
        healed = magnitude or not parts_of(self.ladders, units) or self.left(units) is not None
        return healed and self.journal.knows(of)

    def take(
        self, units: Units, parts: dict[Block, Narrowed] | None, lines: Sequence[dict[str, Any]]
    ) -> None:
        """Take what other trials of the same search found of a candidate: healed blocks, and lines of the journal."""
        if parts is not None:
            key = digest_of(named(units))
            write_parts(self.journal.folder / f"{key}.npz", parts)
            self._taken[key] = parts
        self.journal.take(lines)

    def _compared(self, units: Units, parts: dict[Block, Narrowed], key: str) -> dict[Block, Narrowed]:
        """Return the better of a candidate's blocks healed and not; its model is remembered, to be built next."""
        job = self.bench.observations.job
        assert job is not None
        healed = heal(self.bench.model, parts, self.blocks, job.rows[:_HEALED_ROWS])
        written = [{block: as_written(part) for block, part in found.items()} for found in (healed, parts)]
        best, model = self._better(units, *written)
        self._last = key, model
        return best

    def built(self, units: Units, path: Path, *, magnitude: bool = False) -> None:
        """Write a candidate's INT8 model, calibrated anew."""
        parts = self.parts(units, magnitude=magnitude)
        kept = (
            self._last if not magnitude and self._last and self._last[0] == digest_of(named(units)) else None
        )
        self._last = None
        save_model(kept[1] if kept else self._quantized(units, parts), path)

    def _better(
        self, units: Units, one: dict[Block, Narrowed], other: dict[Block, Narrowed]
    ) -> tuple[dict[Block, Narrowed], ir.Model]:
        """Return the parts that diverge less as INT8 on the questions that are held out, and their INT8 model."""
        best: tuple[dict[Block, Narrowed], ir.Model] | None = None
        least = 0.0
        for parts in (one, other):
            model = self._quantized(units, parts)
            found = sat(self.held_out, model).divergence
            if best is None or found < least:
                best, least = (parts, model), found
        assert best is not None
        return best

    def _quantized(self, units: Units, parts: Mapping[Block, Narrowed]) -> ir.Model:
        model = self.bench.narrowed(parts)
        layers = linear_layers(model.graph)
        tensors = list({layer.activation.name: layer.activation for layer in layers}.values())
        job = self.bench.observations.job
        assert job is not None
        job = replace(job, rows=job.rows[:_OBSERVED_ROWS])
        solved = {
            block.slot: hashlib.sha256(part.matrix.tobytes() + part.bias.tobytes()).hexdigest()
            for block, part in parts.items()
        }
        key = digest_of([self.bench.observations.key, named(units), solved, _OBSERVED_ROWS])
        seen = observe(model, tensors, job, key=key, detail=Detail.MOMENTS)
        self.bench.good(model, Observations(statistics=seen, job=job, key=key), floats=floats_of(units))
        return model

    def judged(self, units: Units, *, magnitude: bool = False) -> Judged:
        """Return what is found of a candidate; `magnitude` as in `parts`."""
        # Before the clock of the trial: healing has a line and seconds of its own.
        self.parts(units, magnitude=magnitude)

        def measure() -> dict[str, Any]:
            with tempfile.TemporaryDirectory(prefix="quantkit-search-") as folder:
                path = Path(folder) / "model.onnx"
                self.built(units, path, magnitude=magnitude)
                marks = self.exam.sit_file(path)
                return {
                    "marks": marks.as_json(),
                    "size": path.stat().st_size,
                    "l3": footprint(path, TOKEN_BUDGET).bytes,
                }

        return Judged.from_json(self.journal.timed(_judged(units, magnitude=magnitude), measure))

    def costs(self, models: Sequence[Units]) -> list[float]:
        """Return microseconds per 1,000 tokens of whole candidates, measured beside each other."""

        def measure() -> dict[str, Any]:
            wholes = [self.whole(units) for units in models]
            return {
                "costs": measure_beside(
                    wholes, tokens=self.load.tokens, rows=self.load.rows, seconds_budget=_TIMED_SECONDS
                )
            }

        of = {"costs": [named(units) for units in models], "load": [self.load.rows, self.load.tokens]}
        found: list[float] = self.journal.timed(of, measure)["costs"]
        return found

    def paces(self, models: Sequence[Units]) -> list[Spread]:
        """Return how many times as fast as the first of whole candidates each of the others is, all timed in turns."""

        def measure() -> dict[str, Any]:
            return {
                "ratios": times_the_first(
                    [self.whole(units) for units in models],
                    tokens=self.load.tokens,
                    rows=self.load.rows,
                    rounds=_FINAL_ROUNDS,
                    seconds_budget=_FINAL_SECONDS,
                )
            }

        of = {"finalists": [named(units) for units in models], "load": [self.load.rows, self.load.tokens]}
        return [spread_of(ratios) for ratios in self.journal.timed(of, measure)["ratios"]]

    def whole(self, units: Units) -> WholeModel:
        """Return a candidate as a snippet whose time is that of its shape; its weights are not healed."""
        return WholeModel(
            self.bench.quick(parts_of(self.ladders, units), floats=floats_of(units)),
            (self.bench.observations.key, self.bench.grid.name, *sorted(named(units).items())),
        )


def candidate_key(units: Units, *, magnitude: bool) -> str:
    """Return what a candidate is known by; `magnitude` as in `Trials.parts`."""
    return digest_of(_judged(units, magnitude=magnitude))


def _judged(units: Units, *, magnitude: bool) -> dict[str, Any]:
    """Return what the journal calls the marks of a candidate."""
    return {"magnitude" if magnitude else "candidate": named(units), "healed": "held out"}
