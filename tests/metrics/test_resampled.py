"""The bootstrap of metrics that are no means."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from quantkit.errors import EvaluationError
from quantkit.metrics.bootstrap import PairedScores, paired_bootstrap
from quantkit.metrics.metric import CountedF1, Floats, Mean
from quantkit.metrics.of_tasks import metric_of
from quantkit.metrics.resampled import PairedMeasures, bootstrap, lower_bound

ENTITIES = metric_of("token-classification")


@dataclass(frozen=True)
class _Looped:
    """The same metric without its sums, so that it is computed for each resample."""

    inner: CountedF1
    name = "looped"
    changed = "answer"

    def of(self, measures: Floats, weights: Floats | None = None) -> float:
        return self.inner.of(measures, weights)

    def fault(self, measures: Floats) -> str | None:
        return self.inner.fault(measures)

    def gold(self, measures: Floats) -> Floats:
        return self.inner.gold(measures)

    def chance(self, measures: Floats, labels: int) -> object:
        return self.inner.chance(measures, labels)


def _pairs(*, lost: float, questions: int = 400, seed: int = 0) -> PairedMeasures:
    random = np.random.default_rng(seed)
    gold = random.integers(0, 5, questions)
    found = random.binomial(gold, 0.9)
    kept = random.binomial(found, 1 - lost)
    baseline, candidate = (np.stack([right, gold - right, gold - right], axis=1) for right in (found, kept))
    return PairedMeasures(
        metric=ENTITIES,
        candidate=candidate.astype(np.float64),
        baseline=baseline.astype(np.float64),
        groups=[f"document {index % 40}" for index in range(questions)],
    )


def test_equal_measures_have_a_ratio_of_exactly_one() -> None:
    """Whatever is drawn, a model is as good as itself."""
    found = bootstrap(_pairs(lost=0.0), min_ratio=0.99)
    assert (found.ratio, found.low, found.high, found.questions_needed) == (1.0, 1.0, 1.0, None)


def test_a_real_loss_is_seen() -> None:
    """A tenth of the entities lost is proven to be below 0.98, and the interval holds the ratio."""
    found = bootstrap(_pairs(lost=0.1), min_ratio=0.98)
    assert found.low <= found.ratio <= found.high < 0.98
    assert found.p_value > 0.95
    assert (found.resampled, found.clusters, found.questions) == ("article", 40, 400)


def test_sums_and_the_loop_agree() -> None:
    """A metric of sums, computed for each resample, gives the same interval but for the draws."""
    pairs = _pairs(lost=0.02, questions=60)
    at_once = bootstrap(pairs, min_ratio=0.98, resamples=2000)
    one_by_one = bootstrap(replace(pairs, metric=_Looped(ENTITIES)), min_ratio=0.98, resamples=2000)
    assert one_by_one.ratio == at_once.ratio
    assert (one_by_one.low, one_by_one.high) == pytest.approx((at_once.low, at_once.high), abs=0.005)
    assert one_by_one.sd == pytest.approx(at_once.sd, rel=0.1)


def test_the_order_of_questions_does_not_matter() -> None:
    """The same questions in another order give the same report, to the last bit."""
    pairs = _pairs(lost=0.02)
    order = np.random.default_rng(1).permutation(len(pairs.groups))
    turned = replace(
        pairs,
        candidate=pairs.candidate[order],
        baseline=pairs.baseline[order],
        groups=[pairs.groups[row] for row in order],
    )
    assert bootstrap(turned, min_ratio=0.98) == bootstrap(pairs, min_ratio=0.98)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Of 100 samples with a true ratio of 0.95 the lower bound at 95 % is above it in 5 to 9 % (losses are skewed)."""
    missed = [
        bootstrap(_pairs(lost=0.05, questions=200, seed=seed), min_ratio=0.9, resamples=300).low > 0.95
        for seed in range(100)
    ]
    assert np.mean(missed) <= 0.15


def test_sentences_without_entities_prove_nothing() -> None:
    """P cannot be small on 3,000 questions of which 10 have an entity: the loss was never drawn."""
    measures = np.zeros((3000, 3))
    measures[:10, 0] = 1
    pairs = PairedMeasures(
        metric=ENTITIES, candidate=measures, baseline=measures, groups=[str(row) for row in range(3000)]
    )
    assert bootstrap(pairs, min_ratio=0.99).p_value == pytest.approx(0.99**10, rel=1e-9)


def test_a_mean_is_judged_as_before() -> None:
    """`paired_bootstrap` of the first column, all of it."""
    random = np.random.default_rng(0)
    baseline, candidate = random.random((2, 50))
    groups = [str(index % 10) for index in range(50)]
    found = bootstrap(
        PairedMeasures(
            metric=Mean(name="F1"), candidate=candidate[:, None], baseline=baseline[:, None], groups=groups
        ),
        min_ratio=0.99,
    )
    wanted = PairedScores(candidate=candidate, baseline=baseline, groups=groups)
    assert found == paired_bootstrap(wanted, min_ratio=0.99)


def test_a_baseline_that_finds_nothing_is_no_reference() -> None:
    """There is no ratio to 0."""
    measures = np.array([[0.0, 1.0, 1.0]])
    pairs = PairedMeasures(metric=ENTITIES, candidate=measures, baseline=measures, groups=["a"])
    with pytest.raises(EvaluationError, match="entity F1 is 0"):
        bootstrap(pairs, min_ratio=0.99)


def test_the_lower_bound_falls_with_few_questions() -> None:
    """Chance is compared with what is sure: less of it on 20 sentences than on 400."""
    few, many = (_pairs(lost=0.0, questions=count).baseline for count in (20, 400))
    assert lower_bound(ENTITIES, few) < lower_bound(ENTITIES, many) < ENTITIES.of(many)
