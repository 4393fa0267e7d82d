"""Tokenizers from an artifact's own files, with the `tokenizers` library only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tokens:
    """One text in tokens, without special tokens.

    Attributes:
        ids: int64 [tokens].
        offsets: int32 [tokens, 2], first character and the one after the last, in the original text.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int32]


class Tokenizer:
    """A tokenizer read from a folder.

    Attributes:
        folder: where it was read from.
        vocab_size: the greatest token id plus 1.
        cls_id: the id of the first token of a row.
        sep_id: the id of the last token of a row.
        pad_id: the id to pad rows with.
        separators: separator tokens between the two texts of a pair, 1 (BERT) or 2 (RoBERTa).
        uses_token_types: the second text of a pair has token type 1.
        labels: names of the labels by index (`id2label` of config.json), empty when it has none.
        max_positions: the longest row the model's position table holds, None when unknown.
    """

    folder: Path
    vocab_size: int
    cls_id: int
    sep_id: int
    pad_id: int
    separators: int
    uses_token_types: bool
    labels: tuple[str, ...]
    max_positions: int | None

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read tokenizer.json, else vocab.txt (WordPiece), else vocab.json and merges.txt (byte-level BPE)."""
        raise NotImplementedError

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise `CheckpointError` when a model with `vocab_size` embeddings is not made for this tokenizer."""
        raise NotImplementedError

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenize texts, without special tokens, truncation or padding."""
        raise NotImplementedError
