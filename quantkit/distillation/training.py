"""Training: first each changed block against the block it replaces, then the whole against the teacher.

The teacher runs beside the student on every batch. Nothing of it is kept: hidden states of all rows would be a
megabyte a row, and most rows are seen once or twice. Nothing is dropped out, so a teacher's answer is one answer, and
a step depends on the weights, the optimizer's moments and its own number alone.

AdamW; the learning rate rises through the warm-up and falls linearly to zero at the last step. How many steps there
are is fixed before the first one, by the settings or by the speed that is measured then: a training that goes on after
a stop takes the same ones.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from quantkit.distillation.blocks import Block, block_losses, changed_blocks
from quantkit.distillation.encoder import Batch, Encoder
from quantkit.distillation.fake_quantization import fake_quantized
from quantkit.distillation.judge import Score
from quantkit.distillation.learner import Learner
from quantkit.distillation.lesson import Lesson
from quantkit.distillation.rows import Batches, pad
from quantkit.distillation.schedule import PhaseName, Schedule, Speed, split_steps, steps_within
from quantkit.distillation.state import Progress
from quantkit.distillation.whole import compared_attention, loss_weights, whole_losses
from quantkit.errors import EvaluationError
from quantkit.metrics.of_tasks import metric_of
from quantkit.progress import track
from quantkit.records.distill import Ended, Evaluated, Speeds

_LARGEST_NORM = 1.0  # of gradients
_TIMED = 4  # steps, of which the first one is a warm-up
_LATE = 2.0  # times the budget, after which a machine that became slow ends the training


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Learned:
    """What a training came to.

    Attributes:
        progress: where it ended.
        ended: why.
        blocks: what learned alone first.
        epochs: how often each row was seen.
    """

    progress: Progress
    ended: Ended
    blocks: tuple[Block, ...]
    epochs: float


class _NotFinite(Exception):
    """A loss or a gradient is NaN or infinite."""


def train(lesson: Lesson, threads: int) -> Learned:
    """Let the student learn, from the beginning or from where it stopped; it ends with the best weights.

    Args:
        lesson: with the student as it came.
        threads: of the CPU; a training that goes on keeps its own, as another number sums in another order.

    Raises:
        UsageError: the budget is too small for a step.
        EvaluationError: logits are NaN before anything was learned.
        OutputError: the state cannot be written.
    """
    found = lesson.folder.read()
    threads = found[0].threads if found else threads
    with _threads(threads):
        return _Training(lesson, threads).run(found)


class _Training:
    def __init__(self, lesson: Lesson, threads: int) -> None:
        self.lesson, self.settings, self.threads = lesson, lesson.settings, threads
        self.blocks = tuple(changed_blocks(lesson.pair, lesson.student, lesson.teacher))
        self.learner = Learner(
            lesson.student,
            self.blocks,
            embeddings=lesson.settings.train_embeddings,
            weight_decay=lesson.settings.weight_decay,
        )
        self.batches = Batches(
            lengths=lesson.rows.lengths,
            token_budget=lesson.settings.token_budget,
            seed=lesson.settings.seed,
        )
        self.compared = compared_attention(lesson)
        self.started = time.monotonic()

    def run(self, found: tuple[Progress, dict[str, Tensor]] | None) -> Learned:
        if found is None:
            progress, tensors = self._begin(), self.learner.tensors()
            self._keep(progress, best=True)
        else:
            progress, tensors = found
            self.learner.take(tensors, "weight.")
        self.started = time.monotonic() - progress.seconds
        progress, ended = self._learn(progress, tensors)
        self.learner.take(self.lesson.folder.read_best(progress))
        return Learned(
            progress=progress,
            ended=ended,
            blocks=self.blocks,
            epochs=progress.step * self.settings.accumulate / self.batches.per_epoch,
        )

    def _begin(self) -> Progress:
        """Let both answer the selection, and fix the steps."""
        started = time.monotonic()
        first = self._score(self.lesson.student)
        evaluation = time.monotonic() - started
        teacher = self._score(self.lesson.teacher)
        progress = Progress(
            blocks=0,
            whole=0,
            threads=self.threads,
            keep=self.settings.keep,
            speeds=Speeds(),
            teacher=_evaluated(0, teacher),
            evaluated=(_evaluated(0, first),),
        )
        settings, share = self.settings, self.settings.block_share if self.blocks else 0.0
        speeds = Speeds()
        if settings.steps is not None:
            schedule = split_steps(settings.steps, share)
        else:
            block = self._seconds_of_a_step("blocks", progress) if share else 0.0
            whole = self._seconds_of_a_step("whole", progress)
            speeds = Speeds(block_step=block, whole_step=whole, evaluation=evaluation)
            schedule = steps_within(
                settings.budget,
                time.monotonic() - self.started,
                Speed(block=block, whole=whole, evaluation=evaluation),
                evaluations=settings.evaluations,
                block_share=share,
            )
        return progress.model_copy(
            update={
                "blocks": schedule.blocks,
                "whole": schedule.whole,
                "speeds": speeds,
                "seconds": time.monotonic() - self.started,
            }
        )

    def _learn(self, progress: Progress, tensors: Mapping[str, Tensor]) -> tuple[Progress, Ended]:
        schedule, settings = Schedule(blocks=progress.blocks, whole=progress.whole), self.settings
        begun: PhaseName | None = None
        with track("distil", schedule.steps, "steps") as advance:
            advance(progress.step)
            while progress.step < schedule.steps:
                phase = schedule.phase(progress.step)
                if begun != phase.name:
                    self.learner.begin(phase.name, steps=progress.step - phase.first, moments=tensors)
                    begun = phase.name
                highest = settings.block_learning_rate if phase.name == "blocks" else settings.learning_rate
                rate = highest * schedule.rate(progress.step, settings.warm_up)
                as_int8 = schedule.fake_quantized(progress.step, settings.qat_share)
                try:
                    with fake_quantized(self.lesson.student.layers if as_int8 else ()):
                        progress = self._take_step(progress, phase.name, rate)
                    if schedule.evaluated(progress.step, settings.evaluations):
                        progress = self._evaluate(progress)
                except (_NotFinite, EvaluationError):
                    return progress, "nan"
                advance(1, _note(progress, metric_of(self.lesson.pair.student.task).name))
                if phase.name == "whole" and progress.since_best >= settings.patience:
                    return progress, "early"
                if settings.steps is None and progress.seconds > _LATE * settings.budget:
                    return progress, "late"
                if progress.step % settings.save_every == 0:
                    self._keep(progress, best=False)
        return progress, "finished"

    def _take_step(self, progress: Progress, phase: PhaseName, rate: float) -> Progress:
        """Take one step.

        Raises:
            _NotFinite: the loss or a gradient is NaN or infinite; no weight has changed.
        """
        started = time.monotonic()
        count = self.settings.accumulate
        chosen = [self.batches[progress.step * count + place] for place in range(count)]
        all_rows = sum(map(len, chosen))
        losses = dict(progress.losses)
        loss, tokens = 0.0, 0
        for indices in chosen:
            padded = pad(self.lesson.rows, indices)
            share = len(indices) / all_rows
            parts = self._losses(phase, self.lesson.student.place(padded))
            total = self._total(phase, parts) * share
            total.backward()
            loss += float(total.detach())
            for name, part in parts.items():
                losses[name] = losses.get(name, 0.0) + float(part.detach()) * share
            tokens += padded.input_ids.size
        if not math.isfinite(loss) or not self.learner.step(phase, rate, _LARGEST_NORM):
            raise _NotFinite
        now = time.monotonic()
        return progress.model_copy(
            update={
                "step": progress.step + 1,
                "loss": progress.loss + loss,
                "losses": losses,
                "rows": progress.rows + all_rows,
                "tokens": progress.tokens + tokens,
                "seconds": now - self.started,
                "trained_seconds": progress.trained_seconds + now - started,
            }
        )

    def _losses(self, phase: PhaseName, batch: Batch) -> Mapping[str, Tensor]:
        if phase == "blocks":
            return block_losses(self.blocks, self.lesson.student, self.lesson.teacher, batch)
        return whole_losses(self.lesson, batch, self.compared)

    def _total(self, phase: PhaseName, parts: Mapping[str, Tensor]) -> Tensor:
        """Return the loss: of blocks the sum, as no weight is in two of them; of the whole weighted."""
        weights = {} if phase == "blocks" else loss_weights(self.settings)
        return torch.stack([weights.get(name, 1.0) * part for name, part in parts.items()]).sum()

    def _evaluate(self, progress: Progress) -> Progress:
        """Answer the selection; weights of a better score are kept at once."""
        steps = progress.step - progress.evaluated[-1].step
        score = self._score(self.lesson.student)
        found = _evaluated(progress.step, score, loss=progress.loss / steps)
        progress = progress.model_copy(
            update={
                "evaluated": (*progress.evaluated, found),
                "loss": 0.0,
                "losses": {},
                "last_losses": {name: total / steps for name, total in progress.losses.items()},
                "seconds": time.monotonic() - self.started,
            }
        )
        if progress.since_best == 0:
            self._keep(progress, best=True)
        return progress

    def _keep(self, progress: Progress, *, best: bool) -> None:
        if best:
            self.lesson.folder.write_best(progress.step, self.learner.weights)
        self.lesson.folder.write(progress, self.learner.tensors())

    def _score(self, encoder: Encoder) -> Score:
        return self.lesson.judge.score(encoder, self.settings.token_budget)

    def _seconds_of_a_step(self, phase: PhaseName, progress: Progress) -> float:
        """Take steps that learn nothing, and return how long one takes.

        Raises:
            EvaluationError: the loss is NaN already.
        """
        self.learner.begin(phase)
        seconds = 0.0
        for step in range(_TIMED):
            started = time.monotonic()
            try:
                # With a learning rate of 0 AdamW leaves every weight as it is, bit by bit.
                self._take_step(progress.model_copy(update={"step": step}), phase, 0.0)
            except _NotFinite:
                raise EvaluationError(
                    f"{self.lesson.pair.student.name}: the loss is NaN or Infinity before the first step; "
                    "check both checkpoints, or give --precision float32"
                ) from None
            seconds += time.monotonic() - started if step else 0.0
        return seconds / (_TIMED - 1)


def _evaluated(step: int, score: Score, loss: float | None = None) -> Evaluated:
    return Evaluated(step=step, f1=score.f1, expected_f1=score.expected, loss=loss)


def _note(progress: Progress, metric: str) -> str:
    done = progress.step - progress.evaluated[-1].step
    loss = f"loss {progress.loss / done:.4f}, " if done else ""
    return f"{loss}{metric} {progress.evaluated[-1].f1:.2f} (teacher {progress.teacher.f1:.2f})"


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
