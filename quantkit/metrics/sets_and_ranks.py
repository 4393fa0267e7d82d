"""Metrics of the tasks that read texts: micro F1 of label sets, correlation of numbers, NDCG of rankings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantkit.metrics.label_sets import COUNTS, micro_f1
from quantkit.metrics.metric import Chance, Floats, Mean
from quantkit.metrics.rank_correlation import pearson, spearman

RANKED_MEASURES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSetsF1:
    """Micro F1 of label sets, of the sums of each label's true positives, false positives and false negatives.

    The measures of a text are those three for each label in turn, 0 or 1 (`quantkit.metrics.label_sets.counts`).

    Attributes:
        name: see `quantkit.metrics.metric.Metric`.
        changed: likewise.
    """

    name: str = "micro F1"
    changed: Literal["score", "answer"] = "answer"

    def of(self, measures: Floats, weights: Floats | None = None) -> float:
        """Return micro F1."""
        return float(self.of_sums(measures.sum(axis=0) if weights is None else weights @ measures))

    def of_sums(self, sums: Floats) -> Floats:
        """Return micro F1 [...] of sums [..., 3 · labels]."""
        return micro_f1(sums)

    def sizes(self, measures: Floats) -> Floats:
        """Return how many labels were to be given or were given to each text."""
        each = measures.reshape(len(measures), -1, COUNTS)
        result: Floats = (each @ np.array([2.0, 1.0, 1.0])).sum(axis=1)
        return result

    def fault(self, measures: Floats) -> str | None:
        """Refuse what are not flags, of which a label has one at most."""
        if measures.shape[1] % COUNTS:
            return f"has {measures.shape[1]} measures of a text, and not {COUNTS} for each label"
        each = measures.reshape(len(measures), -1, COUNTS)
        flags = np.all((measures == 0) | (measures == 1)) and np.all(each.sum(axis=2) <= 1)
        return None if flags else "has measures that are no flags of labels"

    def gold(self, measures: Floats) -> Floats:
        """Return which labels were to be given to each text."""
        each = measures.reshape(len(measures), -1, COUNTS)
        result: Floats = each[:, :, 0] + each[:, :, 2]
        return result

    def chance(self, measures: Floats, labels: int) -> Chance:
        """Return what the best answer reaches that is the same for all texts: the most frequent labels.

        A label that is right for a share p of the texts lifts the F1 as long as it is frequent enough; the best number
        of labels is found by trying all of them.
        """
        del labels
        right = np.sort(self.gold(measures).sum(axis=0))[::-1]
        given = len(measures) * np.arange(1, len(right) + 1)
        whole = given + right.sum()
        best = np.max(2 * np.cumsum(right) / np.maximum(whole, 1.0), initial=0.0)
        return Chance(percent=100 * float(best), words="the same labels for all texts")


@dataclass(frozen=True, kw_only=True, slots=True)
class Correlation:
    """The correlation of given and right numbers; a negative one is 0.

    The measures of a text are the given number and the right one.

    Attributes:
        name: see `quantkit.metrics.metric.Metric`.
        by_ranks: Spearman's; else Pearson's.
        changed: see `Metric`; numbers are written as roundly as their task says.
    """

    name: str
    by_ranks: bool
    changed: Literal["score", "answer"] = "answer"

    def of(self, measures: Floats, weights: Floats | None = None) -> float:
        """Return the correlation, 0 to 1."""
        how: Callable[[Floats, Floats, Floats | None], Floats] = spearman if self.by_ranks else pearson
        return max(0.0, float(how(measures[:, 0], measures[:, 1], weights)))

    def of_many(self, measures: Floats, weights: Floats) -> Floats:
        """Return the correlation [resamples] for weights [resamples, questions]."""
        how: Callable[[Floats, Floats, Floats | None], Floats] = spearman if self.by_ranks else pearson
        return np.maximum(0.0, how(measures[:, 0], measures[:, 1], weights))

    def fault(self, measures: Floats) -> str | None:
        """Refuse what is not two numbers."""
        if measures.shape[1] != 2:
            return f"has {measures.shape[1]} measures of a text, and not 2"
        return None if np.all(np.isfinite(measures)) else "has measures that are not finite"

    def gold(self, measures: Floats) -> Floats:
        """Return the right number of each text."""
        return measures[:, 1:]

    def chance(self, measures: Floats, labels: int) -> Chance:
        """Return none: numbers drawn at random correlate with nothing."""
        del measures, labels
        return Chance(percent=0.0, words="numbers by chance")


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedMean(Mean):
    """The mean over queries of the first measure, beside what a random order of the same passages earns on average.

    The measures of a query are its NDCG@10, its reciprocal rank@10, and the mean of both over all orders.
    """

    changed: Literal["score", "answer"] = "answer"

    def fault(self, measures: Floats) -> str | None:
        """Refuse what is not four numbers from 0 to 1."""
        if measures.shape[1] != RANKED_MEASURES:
            return f"has {measures.shape[1]} measures of a query, and not {RANKED_MEASURES}"
        fit = np.all((measures >= 0) & (measures <= 1))
        return None if fit else "has scores that are not from 0 to 1"

    def gold(self, measures: Floats) -> Floats:
        """Return what a random order earns: it depends on the relevance of the passages alone."""
        return measures[:, 2:]

    def chance(self, measures: Floats, labels: int) -> Chance:
        """Return what a random order earns."""
        del labels
        return Chance(percent=100 * float(measures[:, 2].mean()), words="passages in any order")
