"""Metrics: the one number of a task, computed from what was measured on each question.

A task measures every question (`Prediction.measures`: one number or more), and its metric makes one number of all of
them: a mean, a ratio of sums (entity F1), a correlation. Whoever has the measures can compute it again, and the gate's
bootstrap computes it for questions drawn anew (`quantkit.metrics.resampled`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Metric(Protocol):
    """Makes one number of the measures of all questions. Implementations are frozen and stateless."""

    @property
    def name(self) -> str:
        """As people call it and as it is shown: `F1`, `accuracy`, `entity F1`, `Spearman`."""

    @property
    def changed(self) -> Literal["score", "answer"]:
        """When a question counts as changed: its own score differs, or its answer, as the task writes answers."""

    def of(self, measures: Floats, weights: Floats | None = None) -> float:
        """Return the metric, 0 to 1; what has no value, or a value below 0, is 0.

        Args:
            measures: [questions, numbers].
            weights: [questions], how often each was drawn; None: once.
        """

    def fault(self, measures: Floats) -> str | None:
        """Return what is wrong with measures that no task gives, such as `has counts below 0`; None: nothing."""

    def gold(self, measures: Floats) -> Floats:
        """Return [questions, any]: what of the measures is the right answers', the same for every model."""

    def chance(self, measures: Floats, labels: int) -> "Chance":
        """Return what guessing reaches.

        Args:
            measures: [questions, numbers] of the baseline.
            labels: how many the model has; 0: none.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Chance:
    """What a model that knows nothing reaches.

    Attributes:
        percent: 0 to 100; a baseline must surely be above it.
        words: such as `3 labels by chance`.
    """

    percent: float
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """The mean over questions of the first number, each from 0 to 1.

    Attributes:
        name: see `Metric`.
        guess: percent that guessing reaches, and its words; None: one of the labels is guessed.
        changed: see `Metric`.
    """

    name: str
    guess: Chance | None = None
    changed: Literal["score", "answer"] = "score"

    def of(self, measures: Floats, weights: Floats | None = None) -> float:
        """Return the mean, correctly rounded in any order of the questions."""
        column = measures[:, 0]
        if weights is None:
            return math.fsum(column) / len(column)
        return math.fsum(column * weights) / math.fsum(weights)

    def fault(self, measures: Floats) -> str | None:
        """Refuse numbers that are not from 0 to 1."""
        column = measures[:, 0]
        return None if np.all((column >= 0) & (column <= 1)) else "has scores that are not from 0 to 1"

    def gold(self, measures: Floats) -> Floats:
        """Return nothing: a score does not say what would be right."""
        return measures[:, :0]

    def chance(self, measures: Floats, labels: int) -> Chance:
        """Return that of one label of several; without labels the guess."""
        del measures
        if self.guess is not None and not labels:
            return self.guess
        return Chance(percent=100.0 / max(labels, 1), words=f"{labels} labels by chance")


class OfSums(Metric, Protocol):
    """A metric that is a function of the sums of the measures: the bootstrap computes all resamples at once."""

    def of_sums(self, sums: Floats) -> Floats:
        """Return the metric [...] of sums [..., numbers]."""

    def sizes(self, measures: Floats) -> Floats:
        """Return [questions]: how much of the metric each question can move, in any unit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedF1:
    """F1 over everything that was to be found: 2 tp / (2 tp + fp + fn), of sums over all questions (micro F1).

    The measures of a question are whole numbers: right ones found, wrong ones found, right ones missed. Where nothing
    was found and nothing was there, it is 0.

    Attributes:
        name: see `Metric`.
        guess: what guessing reaches.
        changed: see `Metric`.
    """

    name: str
    guess: Chance
    changed: Literal["score", "answer"] = "answer"

    def of(self, measures: Floats, weights: Floats | None = None) -> float:
        """Return 2 tp / (2 tp + fp + fn)."""
        sums = measures.sum(axis=0) if weights is None else weights @ measures
        return float(self.of_sums(sums))

    def of_sums(self, sums: Floats) -> Floats:
        """Return F1 [...] of (tp, fp, fn) [..., 3]."""
        twice = 2 * sums[..., 0]
        whole = twice + sums[..., 1] + sums[..., 2]
        result: Floats = np.divide(twice, whole, out=np.zeros_like(twice), where=whole > 0)
        return result

    def sizes(self, measures: Floats) -> Floats:
        """Return how many were to be found or were found in each question."""
        result: Floats = measures @ np.array([2.0, 1.0, 1.0])
        return result

    def fault(self, measures: Floats) -> str | None:
        """Refuse what is not three counts."""
        if measures.shape[1] != 3:
            return f"has {measures.shape[1]} measures of a question, and not 3"
        counts = np.all((measures >= 0) & (measures == np.floor(measures)))
        return None if counts else "has measures that are no counts"

    def gold(self, measures: Floats) -> Floats:
        """Return how many were to be found in each question: tp + fn."""
        return measures[:, [0]] + measures[:, [2]]

    def chance(self, measures: Floats, labels: int) -> Chance:
        """Return the guess."""
        del measures, labels
        return self.guess


class Measured(Protocol):
    """An answer and what was measured of it: a task's prediction, or its record."""

    @property
    def f1(self) -> float:
        """The question's own score, 0 to 1."""

    @property
    def measures(self) -> tuple[float, ...]:
        """What the metric is made of; empty: of `f1` alone."""

    @property
    def answer(self) -> str:
        """The answer."""


def measures_of(answers: Sequence[Measured]) -> Floats:
    """Return the measures of every question, [questions, numbers].

    Raises:
        ValueError: some questions have more of them than others.
    """
    return np.array([answer.measures or (answer.f1,) for answer in answers], dtype=np.float64)


def changed(metric: Metric, answers: Sequence[Measured], others: Sequence[Measured]) -> float:
    """Return the share of questions that two models answer differently, 0 to 1, in the sense of the metric."""
    by_score = metric.changed == "score"
    differ = [
        one.f1 != other.f1 if by_score else one.answer != other.answer
        for one, other in zip(answers, others, strict=True)
    ]
    return sum(differ) / len(differ)


def percent(metric: Metric, measures: Floats) -> float:
    """Return a metric of all questions in percent."""
    if isinstance(metric, Mean):
        return 100 * math.fsum(measures[:, 0]) / len(measures)
    return 100 * metric.of(measures)
