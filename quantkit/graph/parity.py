"""Cases that two forms of one model are compared on: rows of several lengths, with masks of every kind.

The fused graph is compared with the unfused one (`quantkit.graph.fusion.parity`), the exported graph with PyTorch
(`quantkit.tracing.parity`); what is fed, and which of the outputs count, is the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.runtime.session import ATTENTION_MASK, INPUT_IDS, TOKEN_TYPE_IDS
from quantkit.tasks.positions import sure_row

MASKS = ("all ones", "right-padded", "left-padded", "holes")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRanges:
    """What the model takes: ids below `tokens` and `types`, sequences up to `length`, filled up with `padding`."""

    tokens: int
    types: int
    length: int
    padding: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TokenRanges":
        """Read the ranges from `config.json`; see `sure_row` for the length."""
        padding = int(config.get("pad_token_id") or 0)
        positions = int(config.get("max_position_embeddings") or 512)
        return cls(
            tokens=int(config["vocab_size"]),
            types=max(1, int(config.get("type_vocab_size") or 1)),
            length=sure_row(positions, padding),
            padding=padding,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One batch.

    Attributes:
        shape: (batch, sequence).
        mask: one of `MASKS`.
        feeds: every graph input there may be, int64 [batch, sequence].
    """

    shape: tuple[int, int]
    mask: str
    feeds: dict[str, NDArray[np.int64]]

    @property
    def name(self) -> str:
        """How records call it, such as `3x33 left-padded`."""
        return f"{self.shape[0]}x{self.shape[1]} {self.mask}"

    def seen(self, output: NDArray[Any], *, per_token: bool) -> NDArray[Any]:
        """Return what counts of an output: what stands at a padded position is read by nobody.

        Args:
            output: [batch, sequence], or [batch, labels], of which everything counts.
            per_token: it is the former.
        """
        return output[self.feeds[ATTENTION_MASK] == 1] if per_token else output


def cases(ranges: TokenRanges, shapes: Iterable[tuple[int, int]]) -> list[Case]:
    """Return each (batch, sequence) with each of `MASKS`; the same ones every time.

    Sequences longer than the model takes are cut to what it takes.
    """
    return [
        _case(ranges, (batch, min(sequence, ranges.length)), kind)
        for batch, sequence in shapes
        for kind in MASKS
    ]


def _case(ranges: TokenRanges, shape: tuple[int, int], kind: str) -> Case:
    random = np.random.default_rng((*shape, MASKS.index(kind)))
    mask = padding_mask(kind, *shape)
    ids = random.integers(0, ranges.tokens, shape)
    # A padding token among the text would shift RoBERTa's positions: rows hold it where they are padded only.
    ids[ids == ranges.padding] = (ranges.padding + 1) % ranges.tokens
    if kind in ("right-padded", "left-padded"):
        ids[mask == 0] = ranges.padding
    return Case(
        shape=shape,
        mask=kind,
        feeds={
            INPUT_IDS: ids,
            ATTENTION_MASK: mask,
            TOKEN_TYPE_IDS: random.integers(0, ranges.types, shape),
        },
    )


def padding_mask(kind: str, batch: int, sequence: int) -> NDArray[np.int64]:
    """Return a mask [batch, sequence] of one of `MASKS`; every row attends to a token, rows differ."""
    mask = np.ones((batch, sequence), np.int64)
    for row in range(batch):
        hidden = min(sequence - 1, (row + 1) * sequence // (batch + 1))
        if kind == "right-padded":
            mask[row, sequence - hidden :] = 0
        elif kind == "left-padded":
            mask[row, :hidden] = 0
        elif kind == "holes":
            mask[row, 1 + row % 2 :: 2 + row % 3] = 0
    return mask
