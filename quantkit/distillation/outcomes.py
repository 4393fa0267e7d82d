"""Losses on a task's outputs, by what their numbers are (`quantkit.metrics.distributions.Outcome`)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from quantkit.distillation.losses import divergence, label_loss
from quantkit.tasks.task import Right, Task


def teacher_loss(
    task: Task, student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor, temperature: float
) -> Tensor:
    """Return how far a student's outputs are from its teacher's, a mean over the outputs.

    Args:
        task: what both do.
        student: its outputs, [rows, places] each.
        teacher: likewise.
        mask: bool [rows, tokens], where a row has a token.
        temperature: divides logits; plain numbers have none.
    """
    places = mask if task.per_token else None
    each = []
    for mine, theirs in zip(student, teacher, strict=True):
        if task.outcome == "number":
            each.append(number_error(mine, theirs))
        elif task.outcome == "flags":
            each.append(flag_divergence(mine, theirs, temperature))
        else:
            each.append(divergence(mine, theirs, places, temperature))
    return torch.stack(each).mean()


def right_loss(task: Task, outputs: Sequence[Tensor], right: Sequence[Right], mask: Tensor) -> Tensor:
    """Return how far a student's outputs are from the labels, over the rows that have some.

    Args:
        task: what it does.
        outputs: of the student, [rows, places] each.
        right: what the labels say of each row.
        mask: bool [rows, tokens], where a row has a token.
    """
    if task.outcome == "number":
        return number_loss(outputs[0], right)
    if task.outcome == "flags":
        return flag_loss(outputs[0], right)
    return label_loss(outputs, right, mask if task.per_token else None)


def flag_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the mean KL(teacher || student) of each label's yes or no, softened as in `divergence`, in nats.

    Args:
        student: [rows, labels], logits.
        teacher: likewise.
        temperature: divides the logits; its square keeps the gradients' size.
    """
    mine, theirs = (logits.float() / temperature for logits in (student, teacher))
    known = theirs.sigmoid()
    crossed = functional.binary_cross_entropy_with_logits(mine, known)
    return (crossed - functional.binary_cross_entropy_with_logits(theirs, known)) * temperature**2


def number_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared error of numbers.

    Args:
        student: [rows, 1].
        teacher: likewise.
    """
    return functional.mse_loss(student.float(), teacher.float())


def flag_loss(logits: Tensor, right: Sequence[Right]) -> Tensor:
    """Return the mean negative log of each label's right yes or no, over rows whose labels are known.

    Args:
        logits: [rows, labels].
        right: for each row the labels that are yes; nothing where nobody knows.
    """
    known = [row for row, labels in enumerate(right) if labels]
    if not known:
        return logits.sum() * 0.0
    target = torch.zeros_like(logits[known], dtype=torch.float32)
    for place, row in enumerate(known):
        target[place, [int(label) for label in right[row][0]]] = 1.0
    return functional.binary_cross_entropy_with_logits(logits[known].float(), target)


def number_loss(logits: Tensor, right: Sequence[Right]) -> Tensor:
    """Return the mean squared error against the right numbers, over rows that have one.

    Args:
        logits: [rows, 1].
        right: for each row its number; nothing where nobody knows.
    """
    known = [row for row, numbers in enumerate(right) if numbers]
    if not known:
        return logits.sum() * 0.0
    target = torch.tensor([right[row][0] for row in known], dtype=torch.float32, device=logits.device)
    return functional.mse_loss(logits[known].float(), target)
