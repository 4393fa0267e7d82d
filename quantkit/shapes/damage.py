"""Damage: how far the answers of the INT8 teacher move when one block alone is narrowed, kept float, or both."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate

from quantkit.allocation.journal import Journal
from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.progress import track
from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import InFloat, Option, floats_of, units_of
from quantkit.shapes.onward import Onward, sat
from quantkit.shapes.options import Ladder
from quantkit.shapes.quantized import Bench
from quantkit.shapes.slots import Units, named

__all__ = ["damages_of", "sat"]


def damages_of(
    bench: Bench, ladders: Mapping[Block, Ladder], exam: Exam, journal: Journal
) -> dict[Block, dict[Option, float]]:
    """Return block → option → the nats that it adds to the divergence of the INT8 teacher.

    In float it may take some away.

    One model at a time is run from the block on that differs; on a cluster whole models are, to the same answers.

    Args:
        bench: what candidates are made of.
        ladders: every block's options.
        exam: calibration questions, none of them observed or selected on.
        journal: what was measured before.
    """
    building = threading.Lock()
    onward = Onward(bench=bench, exam=exam, blocks=list(ladders))

    def marks(asked: Units) -> Marks:
        if exam.at_once == 1:
            for block, option in asked.items():
                part = ladders[block].parts[units_of(option)]
                return onward.marks(block, part, in_float=isinstance(option, InFloat))
        with building:
            parts = {block: ladders[block].parts[units_of(option)] for block, option in asked.items()}
            model = bench.quick(parts, floats=floats_of(asked))
        return sat(exam, model)

    def measured(asked: Units) -> float:
        of = {"alone": named(asked), "questions": len(exam.dataset.questions)}
        found = journal.timed(of, lambda: {"marks": marks(asked).as_json()})
        return Marks.from_json(found["marks"]).divergence

    teacher = 0.0
    # The teacher itself first.
    asked: list[Units] = [{}]
    asked += [
        {block: option}
        for block, ladder in ladders.items()
        for option in ladder.options
        if option != block.units
    ]
    alone: dict[Block, dict[Option, float]] = {block: {} for block in ladders}
    with track("damage", len(asked), "options") as advance, _in_line(exam.at_once) as each:
        for of, divergence in zip(asked, each(measured, asked), strict=True):
            if not of:
                teacher = divergence
            for block, option in of.items():
                alone[block][option] = divergence - teacher
            advance(1)
    return {
        block: {
            **_rising({units: alone[block].get(units, 0.0) for units in ladder.parts}),
            **_rising({option: alone[block][option] for option in map(InFloat, ladder.floats)}),
        }
        for block, ladder in ladders.items()
    }


def _rising(damages: Mapping[Option, float]) -> dict[Option, float]:
    """Return damages of one scheme, most units first: fewer hurt no less; what says otherwise is noise of rounding."""
    return dict(zip(damages, accumulate(damages.values(), max), strict=True))


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
