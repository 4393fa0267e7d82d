"""Sanity: what must hold of every search, whatever it found.

* Units removed in reverse order hurt more: else the order means nothing.
* The sliced graph that candidates were judged as computes what the exported checkpoint computes.
* With all units it is the teacher.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from quantkit.exam.marks import Marks
from quantkit.graph.model import save_model
from quantkit.runtime.run import Job
from quantkit.runtime.session import Session
from quantkit.shapes.blocks import Block
from quantkit.shapes.damage import sat
from quantkit.shapes.find import Found
from quantkit.shapes.in_float import floats_of, units_of
from quantkit.shapes.options import parts_of
from quantkit.shapes.order import Narrowed, keeping
from quantkit.shapes.rewrite import projection_of, read_by
from quantkit.shapes.slots import named

_COMPARED_ROWS = 8


def in_reverse(found: Found) -> dict[Block, Narrowed]:
    """Return the chosen widths with the units that the order removes first; solved, and not healed."""
    bench = found.search.trials.bench
    parts = {}
    for block, option in found.chosen.units.items():
        count = units_of(option)
        if 0 < count < block.units:
            of = projection_of(bench.model, block, bench.observations.statistics[read_by(bench.model, block)])
            parts[block] = keeping(of, np.sort(found.ladders[block].order[::-1][:count]))
        elif not count:
            parts[block] = found.ladders[block].parts[0]
    return parts


def in_order(found: Found) -> dict[Block, Narrowed]:
    """Return the chosen widths with the units in order, not healed."""
    return parts_of(found.ladders, found.chosen.units)


def divergence(found: Found, kept: Callable[[Found], dict[Block, Narrowed]]) -> float:
    """Return how far the answers of `in_reverse` or `in_order` are from the teacher's, by their schemes, nats."""
    trials, units = found.search.trials, found.chosen.units

    def measure() -> dict[str, Any]:
        return {"marks": sat(trials.exam, trials.bench.quick(kept(found), floats=floats_of(units))).as_json()}

    measured = trials.journal.timed({"sanity": kept.__name__, "units": named(units)}, measure)
    return Marks.from_json(measured["marks"]).divergence


def difference(job: Job, outputs: tuple[str, ...], one: ir.Model | Path, other: ir.Model | Path) -> float:
    """Return the largest difference of a logit of two models on the first rows of a job."""
    with tempfile.TemporaryDirectory(prefix="quantkit-search-") as folder:
        paths = []
        for name, model in (("one", one), ("other", other)):
            path = model if isinstance(model, Path) else Path(folder) / f"{name}.onnx"
            if not isinstance(model, Path):
                save_model(model, path)
            paths.append(path)
        sessions = [Session(path, outputs=outputs) for path in paths]
        worst = 0.0
        for batch in job.batches[:_COMPARED_ROWS]:
            feeds = job.feeds(batch)
            results = [session.run(feeds) for session in sessions]
            worst = max(
                worst, *(float(np.abs(first - second).max()) for first, second in zip(*results, strict=True))
            )
        return worst
