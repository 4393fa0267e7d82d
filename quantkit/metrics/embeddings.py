"""Embeddings of two models compared: how far each has turned, and whether the nearest texts are the same ones."""

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAREST = 10
_LEVELS = 127
_ASKED = 2048  # texts whose neighbours are looked for; all texts can be neighbours
_BLOCK = 256

Floats = NDArray[np.float32]


def cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the cosine of two vectors, 0.0 where one of them is 0."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    length = math.sqrt(float(a @ a) * float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / length)) if length > 0 else 0.0


def packed(embedding: NDArray[Any]) -> str:
    """Return an embedding's direction as text: 8 bits for each number, in base64.

    Rounding turns it by an angle whose cosine is about 0.99996.
    """
    largest = float(np.abs(embedding).max(initial=0.0))
    levels = np.rint(embedding * (_LEVELS / largest)) if largest > 0 else np.zeros_like(embedding)
    return base64.b64encode(levels.astype(np.int8).tobytes()).decode("ascii")


def unpacked(text: str) -> Floats:
    """Return what `packed` wrote, float32 [hidden], scaled to length 1.

    Raises:
        ValueError: it is not base64, or holds nothing.
    """
    levels = np.frombuffer(base64.b64decode(text, validate=True), np.int8).astype(np.float32)
    if not levels.size:
        raise ValueError("an embedding is empty")
    length = float(np.linalg.norm(levels))
    return levels / np.float32(length) if length > 0 else levels


def mean_cosine(one: Floats, other: Floats) -> float:
    """Return the mean cosine of the same texts' embeddings.

    Args:
        one: [texts, hidden], of length 1.
        other: the same of another model.
    """
    return math.fsum(np.sum(one.astype(np.float64) * other, axis=1)) / len(one)


def nearest(embeddings: Floats, count: int = NEAREST) -> NDArray[np.int64]:
    """Return the `count` nearest other texts of each text, nearest first; the first of equal ones.

    Args:
        embeddings: [texts, hidden], of length 1; more texts than `count`.
        count: how many; fewer where there are not so many texts.

    Returns:
        int64 [asked, count]: of the first texts, as many as are asked about.
    """
    count = min(count, len(embeddings) - 1)
    asked = min(_ASKED, len(embeddings))
    found = np.empty((asked, count), np.int64)
    for start in range(0, asked, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, asked))
        # Rounded, so that equal texts stay equal whatever the order of a sum.
        near = np.round(embeddings[rows] @ embeddings.T, 6)
        near[np.arange(len(rows)), rows] = -np.inf
        found[rows] = np.argsort(-near, axis=1, kind="stable")[:, :count]
    return found


def overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Return the mean share of neighbours that two lists of `nearest` have in common, 0 to 1."""
    shared = [len(set(a) & set(b)) for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    return sum(shared) / one.size


def first_changed(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Return the share of texts whose nearest text is another one."""
    return float(np.mean(one[:, 0] != other[:, 0]))
