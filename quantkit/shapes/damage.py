"""Damage: how far the answers move, as INT8, when one block alone is narrowed."""

import functools
from collections.abc import Callable, Mapping

from quantkit.allocation.journal import Journal
from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.progress import track
from quantkit.shapes.blocks import Block
from quantkit.shapes.onward import Onward, sat
from quantkit.shapes.options import Ladder
from quantkit.shapes.quantized import Bench

__all__ = ["damages_of", "sat"]


def damages_of(
    bench: Bench, ladders: Mapping[Block, Ladder], exam: Exam, journal: Journal
) -> tuple[float, dict[Block, dict[int, float]]]:
    """Return the divergence of the INT8 teacher, and block → units → what keeping so many adds to it, nats.

    Args:
        bench: what candidates are made of.
        ladders: every block's options.
        exam: calibration questions, none of them observed or selected on.
        journal: what was measured before.
    """
    onward = Onward(bench=bench, exam=exam, blocks=list(ladders))

    def measured(of: dict[str, int], marks: Callable[[], Marks]) -> float:
        found = journal.timed(
            {"alone": of, "questions": len(exam.dataset.questions)}, lambda: {"marks": marks().as_json()}
        )
        return Marks.from_json(found["marks"]).divergence

    teacher = measured({}, lambda: sat(exam, bench.quick({})))
    found: dict[Block, dict[int, float]] = {}
    total = sum(len(ladder.parts) for ladder in ladders.values())
    with track("damage", total, "options") as advance:
        for block, ladder in ladders.items():
            rising = 0.0
            found[block] = {}
            for units, part in ladder.parts.items():
                if units < block.units:
                    # Fewer units hurt no less; what says otherwise is noise of rounding.
                    marks = functools.partial(onward.marks, block, part)
                    rising = max(rising, measured({block.slot: units}, marks) - teacher)
                found[block][units] = rising
                advance(1)
    return teacher, found
