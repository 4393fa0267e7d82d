"""Damage: how far the answers move, as INT8, when one block alone is narrowed."""

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx_ir as ir

from quantkit.allocation.journal import Journal
from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.graph.model import save_model
from quantkit.progress import track
from quantkit.shapes.blocks import Block
from quantkit.shapes.options import Ladder
from quantkit.shapes.quantized import Bench
from quantkit.shapes.slots import Units, named


def sat(exam: Exam, model: ir.Model) -> Marks:
    """Return the marks of a graph."""
    with tempfile.TemporaryDirectory(prefix="quantkit-search-") as folder:
        path = Path(folder) / "model.onnx"
        save_model(model, path)
        return exam.sit_file(path)


def damages_of(
    bench: Bench, ladders: Mapping[Block, Ladder], exam: Exam, journal: Journal
) -> dict[Block, dict[int, float]]:
    """Return block → units → the nats that keeping so many adds to the divergence of the INT8 teacher.

    Args:
        bench: what candidates are made of.
        ladders: every block's options.
        exam: calibration questions, none of them observed or selected on.
        journal: what was measured before.
    """
    building = threading.Lock()

    def measured(asked: Units) -> float:
        def measure() -> dict[str, Any]:
            with building:
                model = bench.quick({block: ladders[block].parts[units] for block, units in asked.items()})
            return {"marks": sat(exam, model).as_json()}

        of = {"alone": named(asked), "questions": len(exam.dataset.questions)}
        return Marks.from_json(journal.timed(of, measure)["marks"]).divergence

    teacher = 0.0
    # The teacher itself first.
    asked: list[Units] = [{}]
    asked += [
        {block: units} for block, ladder in ladders.items() for units in ladder.parts if units < block.units
    ]
    alone: dict[Block, dict[int, float]] = {block: {} for block in ladders}
    with track("damage", len(asked), "options") as advance, _in_line(exam.at_once) as each:
        for of, divergence in zip(asked, each(measured, asked), strict=True):
            if not of:
                teacher = divergence
            for block, units in of.items():
                alone[block][units] = divergence - teacher
            advance(1)
    found: dict[Block, dict[int, float]] = {}
    for block, ladder in ladders.items():
        rising = 0.0
        found[block] = {}
        for units in ladder.parts:
            if units < block.units:
                # Fewer units hurt no less; what says otherwise is noise of rounding.
                rising = max(rising, alone[block][units])
            found[block][units] = rising
    return found


@contextmanager
def _in_line(at_once: int) -> Iterator[Callable[..., Iterable[float]]]:
    """Yield a `map` that does so many at a time, in order; after an error nothing more is begun.

    One at a time, it works in this thread, where Ctrl-C ends what runs.
    """
    if at_once == 1:
        yield map
        return
    line = ThreadPoolExecutor(at_once, thread_name_prefix="quantkit-damage")
    try:
        yield line.map
    finally:
        line.shutdown(cancel_futures=True)
