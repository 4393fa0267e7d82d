"""The paired bootstrap of any metric's ratio: of a mean as `quantkit.metrics.bootstrap`, of all else as here.

The units that are resampled, the interval and p are the same. Two things differ where a metric is no mean:

* What is resampled. Of a function of sums (entity F1) it is each article's sums; of anything else (a correlation) the
  questions with the weights of their article, and the metric is computed for each resample.
* The spread. That of the ratio is taken from resamples: by article as it is, by question for the design effect.

The loss that was never drawn (`unseen_loss`) counts questions by how much of the metric they can move: n is Kish's
effective size, (sum of sizes)^2 / (sum of squares), so a sentence without an entity is no evidence about entities.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import EvaluationError
from quantkit.metrics.bootstrap import (
    FEWEST_CLUSTERS,
    PairedScores,
    RatioStatistics,
    expanded_p_value,
    expanded_percentile_interval,
    paired_bootstrap,
    questions_needed,
    unseen_loss,
)
from quantkit.metrics.metric import Floats, Mean, Metric, OfSums

_FOR_SPREAD = 1000
_CELLS = 4_000_000
Indices = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairedMeasures:
    """Two models' measures on the same questions, in the same order.

    Attributes:
        metric: what makes one number of them.
        candidate: float64 [questions, numbers].
        baseline: float64 [questions, numbers].
        groups: [questions], the article of each question.
    """

    metric: Metric
    candidate: Floats
    baseline: Floats
    groups: Sequence[str]

    def only(self, kept: NDArray[np.bool_]) -> "PairedMeasures":
        """Return the questions that are kept.

        Args:
            kept: bool [questions].
        """
        groups = tuple(group for group, stays in zip(self.groups, kept, strict=True) if stays)
        return PairedMeasures(
            metric=self.metric, candidate=self.candidate[kept], baseline=self.baseline[kept], groups=groups
        )

    @property
    def comparable(self) -> bool:
        """Whether there are two questions or more, and the baseline's metric is above 0."""
        return len(self.groups) > 1 and self.metric.of(self.baseline) > 0


def bootstrap(
    pairs: PairedMeasures,
    *,
    min_ratio: float,
    reference: float | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> RatioStatistics:
    """Return the statistics of candidate / reference. The order of the questions does not matter.

    Args:
        pairs: the two models' measures.
        min_ratio: the least ratio that is accepted.
        reference: a fixed reference in percent; None: the baseline's metric.
        confidence: of each bound, one-sided, above 0.5.
        resamples: how many; the same seed gives the same result.
        seed: of the resampling.

    Raises:
        EvaluationError: there is no question, or the baseline's metric is 0.
    """
    if isinstance(pairs.metric, Mean):
        scores = PairedScores(
            candidate=pairs.candidate[:, 0], baseline=pairs.baseline[:, 0], groups=pairs.groups
        )
        return paired_bootstrap(
            scores,
            min_ratio=min_ratio,
            reference_f1=reference,
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )
    if not len(pairs.groups) or pairs.metric.of(pairs.baseline) <= 0:
        raise EvaluationError(
            f"gate: the baseline's {pairs.metric.name} is 0, so there is no ratio to it; "
            "check that model and dataset fit"
        )
    pairs = _sorted(pairs)
    fixed = None if reference is None else reference / 100
    articles, questions = _by_article(pairs), np.arange(len(pairs.groups))
    count = int(articles.max()) + 1
    clustered = count >= FEWEST_CLUSTERS
    units = articles if clustered else questions
    base = pairs.metric.of(pairs.baseline) if fixed is None else fixed
    ratio = pairs.metric.of(pairs.candidate) / base
    ratios = _resampled(pairs, units, fixed, resamples=resamples, seed=seed)
    low, high = expanded_percentile_interval(ratios, int(units.max()) + 1, confidence)
    sd, design_effect = _spread(pairs, base, fixed, articles if clustered else None, seed=seed)
    margin = (1 - min_ratio) * base
    p_value = expanded_p_value(ratios, int(units.max()) + 1, min_ratio)
    return RatioStatistics(
        ratio=ratio,
        low=min(low, ratio),
        high=max(high, ratio),
        confidence=round(2 * confidence - 1, 12),
        p_value=max(p_value, unseen_loss(margin, _effective(pairs))),
        changed=float(np.mean(np.any(pairs.candidate != pairs.baseline, axis=1))),
        questions=len(questions),
        clusters=count,
        resampled="article" if clustered else "question",
        sd=sd,
        design_effect=design_effect,
        questions_needed=questions_needed(sd, design_effect, 100 * margin, confidence),
    )


def lower_bound(metric: Metric, measures: Floats, *, seed: int = 0) -> float:
    """Return the one-sided 95 % lower bound of a metric that is no mean, 0 to 1: the metric less 1.645 deviations.

    Args:
        metric: of one model.
        measures: [questions, numbers].
        seed: of the resampling, by question.
    """
    value = metric.of(measures)
    if len(measures) < 2:
        return 0.0
    order = np.lexsort(measures.T)
    pairs = PairedMeasures(
        metric=metric, candidate=measures[order], baseline=measures[order], groups=("",) * len(order)
    )
    found = _resampled(pairs, np.arange(len(order)), 1.0, resamples=_FOR_SPREAD, seed=seed)
    return value - 1.645 * float(np.std(found))


def _sorted(pairs: PairedMeasures) -> PairedMeasures:
    """Return the questions in an order of their own: by article, then by measures."""
    columns = np.concatenate([pairs.candidate, pairs.baseline], axis=1)
    order = sorted(range(len(columns)), key=lambda row: (pairs.groups[row], columns[row].tolist()))
    return PairedMeasures(
        metric=pairs.metric,
        candidate=pairs.candidate[order],
        baseline=pairs.baseline[order],
        groups=tuple(pairs.groups[row] for row in order),
    )


def _by_article(pairs: PairedMeasures) -> Indices:
    """Return [questions] the number of each question's article, articles by name."""
    return np.unique(np.array(pairs.groups, dtype=object).astype(str), return_inverse=True)[1]


def _ratios(candidate: Floats, baseline: Floats, fixed: float | None) -> Floats:
    """Return candidate / baseline, or / the fixed reference; NaN where there is none."""
    base = baseline if fixed is None else np.full_like(candidate, fixed)
    result: Floats = np.divide(candidate, base, out=np.full_like(candidate, np.nan), where=base > 0)
    return result


def _each(metric: Metric, measures: Floats, drawn: Floats) -> Floats:
    """Return the metric of each resample [resamples]; at once where the metric has `of_many`."""
    many = getattr(metric, "of_many", None)
    return np.array([metric.of(measures, row) for row in drawn]) if many is None else many(measures, drawn)


def _resampled(
    pairs: PairedMeasures, units: Indices, fixed: float | None, *, resamples: int, seed: int
) -> Floats:
    """Return the sorted ratios of resamples of units with replacement, [resamples] or fewer."""
    metric, count = pairs.metric, int(units.max()) + 1
    generator = np.random.default_rng(seed)
    if hasattr(metric, "of_sums"):
        of_sums = cast(OfSums, metric).of_sums
        both = np.zeros((count, 2, pairs.candidate.shape[1]))
        np.add.at(both, units, np.stack([pairs.candidate, pairs.baseline], axis=1))
        # Units that are alike are one kind of so many: nothing changes in the distribution, and kinds are few.
        kinds, alike = np.unique(both, axis=0, return_counts=True)

        def of_drawn(weights: Floats) -> Floats:
            sums = np.tensordot(weights, kinds, axes=1)
            return _ratios(of_sums(sums[:, 0]), of_sums(sums[:, 1]), fixed)
    else:
        alike = np.ones(count, dtype=np.int64)

        def of_drawn(weights: Floats) -> Floats:
            drawn = weights[:, units]
            candidate, baseline = (_each(metric, side, drawn) for side in (pairs.candidate, pairs.baseline))
            return _ratios(candidate, baseline, fixed)

    found = []
    block = max(1, _CELLS // len(alike))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        weights = generator.multinomial(count, alike / count, size=size).astype(np.float64)
        found.append(of_drawn(weights))
    ratios = np.concatenate(found)
    defined = ratios[~np.isnan(ratios)]
    return np.sort(defined if len(defined) else np.zeros(1))


def _spread(
    pairs: PairedMeasures,
    base: float,
    fixed: float | None,
    articles: Indices | None,
    *,
    seed: int,
) -> tuple[float, float]:
    """Return the standard deviation of a question's part in the difference, in points, and the design effect."""
    questions = np.arange(len(pairs.groups))
    each = float(np.var(_resampled(pairs, questions, fixed, resamples=_FOR_SPREAD, seed=seed)))
    sd = 100 * base * math.sqrt(each * len(questions))
    if articles is None or each == 0:
        return sd, 1.0
    together = float(np.var(_resampled(pairs, articles, fixed, resamples=_FOR_SPREAD, seed=seed)))
    return sd, max(1.0, together / each)


def _effective(pairs: PairedMeasures) -> int:
    """Return how many questions of one size there would be; see the module's docstring."""
    if not hasattr(pairs.metric, "sizes"):
        return len(pairs.groups)
    sizes = cast(OfSums, pairs.metric).sizes(pairs.baseline)
    squares = float(sizes @ sizes)
    return int(float(sizes.sum()) ** 2 / squares) if squares > 0 else 0
