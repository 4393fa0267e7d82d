"""Marks: how the answers of a model compare to FP32's, and how that is written into a journal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """How the answers of a model compare to FP32's.

    Attributes:
        divergence: mean over windows and outputs: nats, or 1 - cosine of embeddings.
        changed: share of the questions with another score.
        score: mean score in percent.
        ratio: score / FP32 score.
        expected_ratio: the same of the expected score.
        expected_ratio_low: its one-sided lower confidence bound.
    """

    divergence: float
    changed: float
    score: float
    ratio: float
    expected_ratio: float
    expected_ratio_low: float

    def as_json(self) -> dict[str, float]:
        """Return the numbers by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, numbers: Mapping[str, float]) -> Self:
        """Return the marks that `as_json` wrote."""
        return cls(**numbers)
