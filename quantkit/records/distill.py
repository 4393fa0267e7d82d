"""Distill: what a student learned, from which teacher, and what it cost; kept in the checkpoint as distill.json."""

from typing import Any, Literal

from pydantic import Field

from quantkit.records.record import Record, Report

Ended = Literal["finished", "early", "late", "nan"]


class Evaluated(Record):
    """The score on the selection after so many steps, in percent."""

    step: int
    f1: float
    expected_f1: float = Field(description="feels every change of the logits")
    loss: float | None = Field(default=None, description="mean training loss since the evaluation before")

    @property
    def merit(self) -> float:
        """What the best weights are chosen by: the mean of F1, which counts, and expected F1, which is less noisy."""
        return (self.f1 + self.expected_f1) / 2


class Speeds(Record):
    """What was measured before the first step, in seconds; 0 when the steps were given."""

    block_step: float = 0.0
    whole_step: float = 0.0
    evaluation: float = 0.0


class DistillReport(Report):
    """A finished distillation."""

    format: str = Field(default="quantkit/distill/1", alias="schema")
    student: str = Field(description="digest of the checkpoint that learned")
    teacher: str = Field(description="digest of its teacher")
    task: str
    layers: tuple[int, ...] = Field(description="the teacher's layers that the student's stand for, from 0")
    blocks: tuple[str, ...] = Field(
        description="blocks that differ from the teacher's, and learned alone first"
    )
    data: dict[str, str] = Field(description="name of a dataset → its digest")
    questions: int = Field(description="learned on")
    rows: int = Field(description="learned on: windows of the questions")
    selection_questions: int
    block_steps: int
    whole_steps: int
    steps_done: int
    epochs: float = Field(description="how often each row was seen, on average")
    ended: Ended = Field(
        description="finished: all steps; early: no better evaluation came; late: twice the budget was gone; "
        "nan: a loss was no number"
    )
    best_step: int = Field(description="steps after which the weights were as they are here")
    teacher_score: Evaluated
    evaluations: tuple[Evaluated, ...] = Field(description="the first one: the student as it came")
    losses: dict[str, float] = Field(
        description="part of the loss → its mean since the last evaluation, unweighted"
    )
    seconds: float
    rows_per_second: float = Field(description="while it learned")
    tokens_per_second: float
    speeds: Speeds
    precision: str
    device: str
    threads: int
    peak_memory_bytes: int
    settings: dict[str, Any] = {}
    tools: dict[str, str] = {}
    cpu: dict[str, object] = {}
