"""Sliding windows over a document, and which window sees a token with most context.

Source: Devlin et al. 2018, `run_squad.py` of google-research/bert, which MLPerf's reference follows. A window
advances by `stride` document tokens; tokenizer libraries use the same word for how many tokens two windows
share.
"""

from collections.abc import Sequence

import numpy as np

Stretch = tuple[int, int]
"""First document token, and the number of tokens."""

_LENGTH_WEIGHT = 0.01  # the original's tie breaker: of two equal margins the longer window wins


def cut_windows(tokens: int, room: int, stride: int) -> list[Stretch]:
    """Return the windows over a document of `tokens` tokens.

    Every token is in a window; all but the last window are `room` long; each begins `stride` after the one
    before (`room` after it, where `stride` is greater, so that no token is lost). A document without tokens
    has one empty window.

    Args:
        tokens: length of the document.
        room: the most tokens in a window, at least 1.
        stride: tokens to advance by, at least 1.
    """
    windows = [(0, min(tokens, room))]
    while sum(windows[-1]) < tokens:
        start = windows[-1][0] + min(room, stride)
        windows.append((start, min(tokens - start, room)))
    return windows


def widest_context(windows: Sequence[Stretch]) -> list[Stretch]:
    """Return for each window the tokens of which no other window sees more context.

    They are given like a window: the first token in the document, and the number of tokens. A window's score
    for a token is the smaller of the numbers of tokens left and right of it, plus 0.01 of the window's
    length; the first of equal scores wins. The scores of one window form a tent over its tokens and all tents
    have the same slope, so each window wins an unbroken run (possibly an empty one), and a pair of integers
    says it all.
    """
    if len(windows) == 1:
        return list(windows)
    starts, lengths = np.array(windows).T[:, :, None]
    tokens = np.arange(sum(windows[-1]))
    margin = np.minimum(tokens - starts, starts + lengths - 1 - tokens)
    winner = np.where(margin >= 0, margin + _LENGTH_WEIGHT * lengths, -1.0).argmax(axis=0)
    numbers = np.bincount(winner, minlength=len(windows))
    return [(int(np.argmax(winner == index)), int(number)) for index, number in enumerate(numbers)]
