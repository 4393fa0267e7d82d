"""Losses: how far a student's outputs, hidden states and relations are from its teacher's, and from labels.

Every loss is a mean over the rows (logits, labels) or over the tokens (hidden states, relations) of a batch; what
fills rows up counts nowhere. They are computed in float32, whatever the products were.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from quantkit.tasks.task import Right

_NOWHERE = -1e4  # a logit of a place that is none: its probability is 0, and finite in float32


def divergence(student: Tensor, teacher: Tensor, mask: Tensor | None, temperature: float) -> Tensor:
    """Return KL(teacher || student) of softened logits, times the temperature squared, in nats (Hinton et al. 2015).

    Args:
        student: [rows, places], or [rows, tokens, labels], a distribution for each token.
        teacher: likewise.
        mask: bool [rows, places], the places that are some; None: all are.
        temperature: divides the logits; its square keeps the gradients' size.
    """
    if student.ndim == 3:
        told, known = (
            functional.log_softmax(logits.float() / temperature, dim=-1) for logits in (student, teacher)
        )
        apart = (known.exp() * (known - told)).sum(dim=-1)
        counted = torch.ones_like(apart) if mask is None else mask.float()
        return (apart * counted).sum() / counted.sum() * temperature**2
    mine, theirs = (_masked(logits.float() / temperature, mask) for logits in (student, teacher))
    told, known = functional.log_softmax(mine, dim=-1), functional.log_softmax(theirs, dim=-1)
    return (known.exp() * (known - told)).sum(dim=-1).mean() * temperature**2


def hidden_error(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Return the squared error of hidden states, relative to the teacher's mean square.

    Args:
        student: [rows, tokens, hidden].
        teacher: likewise.
        mask: bool [rows, tokens].
    """
    weight = mask.unsqueeze(-1)
    target = teacher.float()
    missed = ((student.float() - target).square() * weight).sum()
    return missed / (target.square() * weight).sum().clamp(min=1e-12)


def relation_heads(student: int, teacher: int, most: int) -> int:
    """Return in how many heads vectors of two widths can be compared: the most that divide both, up to `most`."""
    return max(
        (count for count in range(1, most + 1) if student % count == 0 and teacher % count == 0), default=0
    )


def relation_error(student: Sequence[Tensor], teacher: Sequence[Tensor], mask: Tensor, heads: int) -> Tensor:
    """Return how far tokens are otherwise related, in nats: the mean over queries, keys and values.

    A relation is the softmax of the scaled products of all tokens' vectors with each other; the whole width is
    regrouped into heads, so models of different heads can be compared (Wang et al. 2021, MiniLMv2).

    Args:
        student: vectors, [rows, tokens, width] each.
        teacher: likewise, of another width.
        mask: bool [rows, tokens].
        heads: a number that divides both widths.
    """
    counted = mask.float()
    losses = []
    for mine, theirs in zip(student, teacher, strict=True):
        told, known = (_relations(vectors, mask, heads) for vectors in (mine, theirs))
        apart = (known.exp() * (known - told)).sum(dim=-1).mean(dim=1)
        losses.append((apart * counted).sum() / counted.sum())
    return torch.stack(losses).mean()


def _relations(vectors: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Return log probabilities [rows, heads, tokens, tokens]."""
    rows, tokens, width = vectors.shape
    split = vectors.float().view(rows, tokens, heads, width // heads).transpose(1, 2)
    products = (split @ split.transpose(-1, -2)) / (width // heads) ** 0.5
    return functional.log_softmax(_masked(products, mask[:, None, None, :]), dim=-1)


def label_loss(logits: Sequence[Tensor], right: Sequence[Right], mask: Tensor | None) -> Tensor:
    """Return the negative log of the probability of all right places together, a mean over rows that have some.

    Args:
        logits: for each output [rows, places], or [rows, tokens, labels]: then a right place is token * labels + label,
            and the loss is the mean over them.
        right: for each row and output the right places.
        mask: bool [rows, places], the places that are some; None: all are.
    """
    losses = []
    for number, output in enumerate(logits):
        if output.ndim == 3:
            each = functional.log_softmax(output.float(), dim=-1).flatten(1)
            losses += [
                -each[row, list(places[number])].mean() for row, places in enumerate(right) if places[number]
            ]
            continue
        known = functional.log_softmax(_masked(output.float(), mask), dim=-1)
        for row, places in enumerate(right):
            if places[number]:
                losses.append(-torch.logsumexp(known[row, list(places[number])], dim=0))
    return torch.stack(losses).mean() if losses else logits[0].sum() * 0.0


def _masked(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values.masked_fill(~mask, _NOWHERE)
