"""The whole student against its teacher: answers, hidden states of the layers that remain, relations, labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from quantkit.distillation.encoder import Batch
from quantkit.distillation.lesson import Lesson
from quantkit.distillation.losses import hidden_error, relation_error, relation_heads
from quantkit.distillation.outcomes import right_loss, teacher_loss
from quantkit.recipe.distill_settings import DistillSettings
from quantkit.tasks import task


def loss_weights(settings: DistillSettings) -> dict[str, float]:
    """Return the weight of each part of the whole's loss that has one."""
    weights = {
        "logits": settings.logits_weight,
        "hidden": settings.hidden_weight,
        "relations": settings.relation_weight,
        "labels": settings.label_weight,
    }
    return {name: weight for name, weight in weights.items() if weight > 0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """The attention whose relations are compared.

    Attributes:
        student: its layer.
        teacher: the layer that it stands for.
        heads: in so many.
    """

    student: int
    teacher: int
    heads: int


def whole_losses(lesson: Lesson, batch: Batch, compared: Compared | None) -> Mapping[str, Tensor]:
    """Return the parts of the loss on a batch, unweighted, those that have a weight."""
    weights = loss_weights(lesson.settings)
    with torch.no_grad(), lesson.teacher.watching(compared.teacher if compared else None):
        shown = lesson.teacher.view(batch)
    with lesson.student.watching(compared.student if compared else None):
        view = lesson.student.view(batch)
    does = task(lesson.pair.student.task)
    losses = {}
    if "logits" in weights:
        losses["logits"] = teacher_loss(
            does, view.outputs, shown.outputs, batch.mask, lesson.settings.temperature
        )
    if "hidden" in weights:
        errors = [
            hidden_error(mine, shown.hidden[point], batch.mask)
            for mine, point in zip(view.hidden[1:], lesson.pair.takes, strict=True)
        ]
        losses["hidden"] = torch.stack(errors).mean()
    if compared is not None:
        losses["relations"] = relation_error(view.vectors, shown.vectors, batch.mask, compared.heads)
    if "labels" in weights:
        losses["labels"] = right_loss(does, view.outputs, batch.right, batch.mask)
    return losses


def compared_attention(lesson: Lesson) -> Compared | None:
    """Return the last attention of the student that has vectors, and what it is compared with; None without one."""
    if lesson.settings.relation_weight == 0:
        return None
    for number in reversed(range(len(lesson.student.layers))):
        replaced = lesson.pair.layers[number]
        mine, theirs = lesson.student.vector_width(number), lesson.teacher.vector_width(replaced)
        if mine and theirs:
            heads = relation_heads(mine, theirs, lesson.settings.relation_heads)
            return Compared(student=number, teacher=replaced, heads=heads)
    return None
