"""Lesson: all that a student learns with."""

from dataclasses import dataclass

from quantkit.distillation.encoder import Encoder
from quantkit.distillation.judge import Judge
from quantkit.distillation.pair import Pair
from quantkit.distillation.rows import Rows
from quantkit.distillation.state import TrainingFolder
from quantkit.recipe.distill_settings import DistillSettings


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Lesson:
    """All that a student learns with.

    Attributes:
        pair: student and teacher, as checkpoints.
        student: learns.
        teacher: shows.
        rows: what both read.
        judge: knows the selection.
        settings: how it learns.
        folder: where it is kept.
    """

    pair: Pair
    student: Encoder
    teacher: Encoder
    rows: Rows
    judge: Judge
    settings: DistillSettings
    folder: TrainingFolder
