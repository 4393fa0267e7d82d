"""The metrics of label sets, numbers and rankings, as the gate takes them."""

import numpy as np
import pytest

from quantkit.metrics.metric import percent
from quantkit.metrics.of_tasks import metric_of
from quantkit.metrics.others import others
from quantkit.metrics.resampled import PairedMeasures, bootstrap

SETS = np.array([[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]], dtype=np.float64)


def test_label_sets() -> None:
    """Micro F1 of all counts; macro and each label beside it; guessing is one set of labels for all texts."""
    metric = metric_of("multi-label-classification")
    # Quotients of small integers.
    assert metric.of(SETS) == pytest.approx(6 / 8, rel=1e-15)
    assert metric.of(SETS, np.array([2.0, 0, 1])) == pytest.approx(6 / 9, rel=1e-15)
    beside = others("multi-label-classification", SETS, ["joy", "love"])
    assert beside == pytest.approx({"macro F1": 220 / 3, "F1 of joy": 80, "F1 of love": 200 / 3})
    # Joy alone, right for all three texts: 6 of 3 + 4. With love as well: 8 of 6 + 4.
    assert metric.chance(SETS, 2).percent == pytest.approx(600 / 7)
    assert metric.gold(SETS).tolist() == [[1, 0], [1, 0], [1, 1]]
    assert metric.fault(SETS) is None
    assert metric.fault(SETS + SETS) == "has measures that are no flags of labels"
    assert metric.fault(SETS[:, :4]) == "has 4 measures of a text, and not 3 for each label"


def test_correlations() -> None:
    """Spearman is the metric and Pearson beside it; what goes the other way is 0, and so is a constant."""
    metric = metric_of("text-regression")
    measures = np.array([[1, 1], [2, 2], [9, 3], [10, 4]], dtype=np.float64)
    # A quotient of rounded roots.
    assert metric.of(measures) == pytest.approx(1.0, rel=1e-15)
    assert 90 < others("text-regression", measures, [])["Pearson"] < 100
    assert metric.of(measures * [-1, 1]) == 0.0
    assert metric.of(measures * [0, 1]) == 0.0
    assert metric.fault(measures[:, :1]) == "has 1 measures of a text, and not 2"


def test_resamples_of_a_correlation_at_once() -> None:
    """The bootstrap draws all resamples at once, and finds what one by one would give."""
    metric = metric_of("text-regression")
    random = np.random.default_rng(2)
    right = random.normal(size=60)
    baseline, candidate = right + 0.1 * random.normal(size=60), right + 0.3 * random.normal(size=60)
    sides = [np.stack([given, right], axis=1) for given in (candidate, baseline)]
    weights = random.multinomial(60, np.full(60, 1 / 60), size=5).astype(np.float64)
    each = [metric.of(sides[0], row) for row in weights]
    assert metric.of_many(sides[0], weights).tolist() == each  # type: ignore[attr-defined]
    pairs = PairedMeasures(
        metric=metric, candidate=sides[0], baseline=sides[1], groups=[str(at) for at in range(60)]
    )
    found = bootstrap(pairs, min_ratio=0.9, resamples=500)
    assert found.low < found.ratio < found.high
    assert found.ratio == pytest.approx(metric.of(sides[0]) / metric.of(sides[1]), rel=1e-12)


def test_rankings() -> None:
    """NDCG@10 is the metric, MRR@10 beside it, and any order is the guess."""
    metric = metric_of("reranking")
    measures = np.array([[1.0, 1.0, 0.6, 0.5], [0.5, 1 / 3, 0.4, 0.5]])
    assert percent(metric, measures) == 75
    assert others("reranking", measures, []) == pytest.approx({"MRR@10": 200 / 3})
    assert metric.chance(measures, 0).percent == pytest.approx(50)
    assert metric.fault(measures[:, :1]) == "has 1 measures of a query, and not 4"
    assert metric.fault(measures + 1) == "has scores that are not from 0 to 1"
