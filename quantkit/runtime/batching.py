"""Batches of like length under a token budget.

Padded to the model's longest row, more than half of what is computed for real questions is padding. So rows
are grouped by length, and a batch holds as many as keep rows x length within the budget.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Rows that run together.

    Attributes:
        indices: which rows, longest first.
        length: tokens of the longest of them; the others are padded to it.
    """

    indices: tuple[int, ...]
    length: int

    @property
    def tokens(self) -> int:
        """Tokens the model computes, padding included."""
        return len(self.indices) * self.length


def token_budget_batches(lengths: Sequence[int], budget: int, max_batch: int | None = None) -> list[Batch]:
    """Cut rows into batches of at most `budget` tokens, longest first.

    Rows of one length fill batches of their own, without any padding; what is left of each length goes,
    sorted by length, into batches that follow each other. So with R the most rows in a batch, the padding
    of all batches together is at most R x (longest - shortest) tokens: along the sorted rest each batch
    pads only down to its own shortest row, which is no shorter than the next batch's longest.

    The result depends on nothing but the arguments: dynamic quantization takes its scales from a whole
    batch, so another cut would give other answers. Longest first keeps the last batches short, so that
    workers finish together, and lets memory reach its peak at once and stay there.

    Args:
        lengths: tokens of each row, each 1 or more.
        budget: the most tokens of a batch, padding included. A longer row is a batch of its own.
        max_batch: the most rows of a batch.
    """
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths):
        by_length[length].append(index)
    batches: list[Batch] = []
    rest: list[int] = []
    for length in sorted(by_length, reverse=True):
        rows, room = by_length[length], _rows(length, budget, max_batch)
        full = len(rows) - len(rows) % room
        starts = range(0, full, room)
        batches += [Batch(indices=tuple(rows[start : start + room]), length=length) for start in starts]
        rest += rows[full:]
    batches += _mixed(rest, lengths, budget, max_batch)
    return sorted(batches, key=lambda batch: (-batch.length, -len(batch.indices), batch.indices[0]))


def equal_length_batches(lengths: Sequence[int], budget: int, max_batch: int | None = None) -> list[Batch]:
    """Cut rows into batches of one length each, of at most `budget` tokens, longest first; nothing is padded.

    A row that shares its length with no other runs alone. So the batches are smaller than those of
    `token_budget_batches` where lengths are rare; what is won is that attention needs no mask.

    Args:
        lengths: tokens of each row, each 1 or more.
        budget: the most tokens of a batch. A longer row is a batch of its own.
        max_batch: the most rows of a batch.
    """
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths):
        by_length[length].append(index)
    batches: list[Batch] = []
    for length in sorted(by_length, reverse=True):
        rows, room = by_length[length], _rows(length, budget, max_batch)
        # As even as can be: ten rows where eight fit are twice five, and not eight and two.
        count = -(-len(rows) // room)
        ends = [len(rows) * (part + 1) // count for part in range(count)]
        for start, end in zip([0, *ends], ends, strict=False):
            batches.append(Batch(indices=tuple(rows[start:end]), length=length))
    return sorted(batches, key=lambda batch: (-batch.length, -len(batch.indices), batch.indices[0]))


def _rows(length: int, budget: int, max_batch: int | None) -> int:
    room = max(1, budget // length)
    return room if max_batch is None else min(room, max_batch)


def _mixed(rest: list[int], lengths: Sequence[int], budget: int, max_batch: int | None) -> Iterator[Batch]:
    """Yield batches of consecutive rows of `rest`, which is sorted by length, longest first."""
    start = 0
    while start < len(rest):
        length = lengths[rest[start]]
        stop = start + _rows(length, budget, max_batch)
        yield Batch(indices=tuple(rest[start:stop]), length=length)
        start = stop
