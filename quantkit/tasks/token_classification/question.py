"""A sentence of words, and a window of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantkit.tasks.task import Question, Window

UNLABELLED = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence(Question):
    """A sentence; its group is its document where the file says so, else itself.

    Attributes:
        words: at least one.
        tags: the tag of each word, by name or by the label's number; None in a file for calibration.
    """

    words: tuple[str, ...]
    tags: tuple[str | int, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SentenceWindow(Window):
    """Tokens of a sentence.

    Attributes:
        words: int64 [places], the words that have their first token here.
        places: int64 [places], where in the row those tokens are.
        gold: int64 [words of the whole sentence], the labels' numbers, `UNLABELLED` where the file has none.
        labels: the model's label names.
    """

    words: NDArray[np.int64]
    places: NDArray[np.int64]
    gold: NDArray[np.int64]
    labels: tuple[str, ...]
