"""Damage: how far the answers move, as INT8, when one block alone is narrowed."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from quantkit.allocation.journal import Journal
from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.graph.model import save_model
from quantkit.progress import track
from quantkit.shapes.blocks import Block
from quantkit.shapes.options import Ladder
from quantkit.shapes.quantized import Bench


def sat(exam: Exam, model: ir.Model) -> Marks:
    """Return the marks of a graph."""
    with tempfile.TemporaryDirectory(prefix="quantkit-search-") as folder:
        path = Path(folder) / "model.onnx"
        save_model(model, path)
        return exam.sit(exam.open(path))


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

    def measured(of: dict[str, int], parts: Mapping[Block, object]) -> float:
        found = journal.timed(
            {"alone": of, "questions": len(exam.dataset.questions)},
            lambda: {"marks": sat(exam, bench.quick(parts)).as_json()},  # type: ignore[arg-type]
        )
        return Marks.from_json(found["marks"]).divergence

    teacher = measured({}, {})
    found: dict[Block, dict[int, float]] = {}
    total = sum(len(ladder.parts) for ladder in ladders.values())
    with track("damage", total, "options") as advance:
        for block, ladder in ladders.items():
            rising = 0.0
            found[block] = {}
            for units, part in ladder.parts.items():
                if units < block.units:
                    # Fewer units hurt no less; what says otherwise is noise of rounding.
                    rising = max(rising, measured({block.slot: units}, {block: part}) - teacher)
                found[block][units] = rising
                advance(1)
    return teacher, found
