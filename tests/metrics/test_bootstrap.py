"""The paired bootstrap: what its numbers are, and how often they are wrong."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import EvaluationError
from quantkit.metrics.bootstrap import (
    PairedScores,
    RatioStatistics,
    expanded_percentile_interval,
    paired_bootstrap,
    questions_needed,
    student_cdf,
    student_quantile,
    unseen_loss,
)

SCORES = st.sampled_from([0.0, 0.25, 0.4, 0.5, 2 / 3, 1.0])


@st.composite
def pairs(draw: st.DrawFn) -> PairedScores:
    """Return a few questions on a few articles, with at least one the baseline answers."""
    rows = draw(st.lists(st.tuples(SCORES, SCORES, st.sampled_from("abcdefgh")), min_size=1, max_size=40))
    rows.append((draw(SCORES), 1.0, "a"))
    candidate, baseline, groups = zip(*rows, strict=True)
    return PairedScores(candidate=np.array(candidate), baseline=np.array(baseline), groups=groups)


def paired(candidate: np.ndarray, baseline: np.ndarray, articles: int) -> PairedScores:
    groups = [f"article {index % articles}" for index in range(len(baseline))]
    return PairedScores(candidate=candidate, baseline=baseline, groups=groups)


def squad_like(seed: int, changed: float, loss: float = 0.0) -> PairedScores:
    """Return 10,570 questions on 48 articles of unequal size, F1 about 75.

    A share `changed` of the answers is drawn anew from the same distribution, on some articles more than on
    others: without loss in truth, with a gain or loss by chance in the sample. On top of that a share `loss`
    of the answers is lost.
    """
    rng = np.random.default_rng(seed)
    kinds, shares = [0.0, 0.5, 2 / 3, 1.0], [0.18, 0.08, 0.08, 0.66]
    articles = rng.choice(48, size=10_570, p=rng.dirichlet(np.full(48, 4.0)))
    baseline = rng.choice(kinds, size=10_570, p=shares)
    rate = changed * rng.gamma(2, 0.5, size=48)
    flips = rng.random(10_570) < rate[articles]
    candidate = baseline.copy()
    candidate[flips] = rng.choice(kinds, size=flips.sum(), p=shares)
    candidate[rng.random(10_570) < loss] = 0.0
    return PairedScores(candidate=candidate, baseline=baseline, groups=[f"a{number}" for number in articles])


@given(pairs(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_order_of_questions_does_not_matter(scores: PairedScores, random) -> None:
    """The same questions in another order give the same statistics, to the last bit."""
    order = list(range(len(scores.groups)))
    random.shuffle(order)
    other = PairedScores(
        candidate=scores.candidate[order],
        baseline=scores.baseline[order],
        groups=[scores.groups[index] for index in order],
    )

    assert paired_bootstrap(scores, min_ratio=0.999, resamples=200) == paired_bootstrap(
        other, min_ratio=0.999, resamples=200
    )


@given(pairs(), st.floats(min_value=0.51, max_value=0.99))
@settings(max_examples=60)
def test_interval_contains_the_estimate(scores: PairedScores, confidence: float) -> None:
    """Whatever the scores and the confidence, the ratio lies in its own interval."""
    statistics = paired_bootstrap(scores, min_ratio=0.999, confidence=confidence, resamples=200)

    assert statistics.low <= statistics.ratio <= statistics.high
    assert 0 <= statistics.p_value <= 1


@given(pairs())
@settings(max_examples=40)
def test_equal_scores_give_exactly_one(scores: PairedScores) -> None:
    """A candidate that answers as the baseline does has ratio 1, without rounding, in every resample."""
    same = PairedScores(candidate=scores.baseline, baseline=scores.baseline, groups=scores.groups)

    statistics = paired_bootstrap(same, min_ratio=0.999, resamples=200)

    assert (statistics.low, statistics.ratio, statistics.high) == (1.0, 1.0, 1.0)
    assert statistics.changed == 0.0
    assert statistics.questions_needed is None


def test_same_seed_same_result() -> None:
    """The bootstrap is deterministic by its seed, and another seed is another sample."""
    scores = squad_like(0, changed=0.03)

    first, again, other = (paired_bootstrap(scores, min_ratio=0.999, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.ratio == other.ratio
    assert first.low != other.low


def test_ratio_is_that_of_the_sums() -> None:
    """The ratio is sum of F1 over sum of F1, not a mean of ratios."""
    scores = paired(np.array([1.0, 0.0, 0.5, 0.5]), np.array([1.0, 1.0, 0.5, 0.0]), articles=4)

    assert pytest.approx(paired_bootstrap(scores, min_ratio=0.999).ratio, rel=1e-15) == 2.0 / 2.5


def test_fixed_reference_is_a_constant() -> None:
    """With --reference-f1 the ratio is to that number, and only the candidate varies."""
    scores = squad_like(3, changed=0.01)
    f1 = 100 * scores.candidate.mean()

    statistics = paired_bootstrap(scores, min_ratio=0.999, reference_f1=90.874)

    assert f1 / 90.874 == pytest.approx(statistics.ratio, rel=1e-12)
    assert statistics.high - statistics.low > 3 * _width(paired_bootstrap(scores, min_ratio=0.999))


def _width(statistics: RatioStatistics) -> float:
    return statistics.high - statistics.low


def test_clusters_widen_the_interval() -> None:
    """Losses that fall on whole articles are less certain than the same losses spread over all."""
    rng = np.random.default_rng(5)
    baseline = np.ones(4_800)
    spread, clumped = baseline.copy(), baseline.copy()
    spread[rng.choice(4_800, 200, replace=False)] = 0.0
    clumped[np.arange(4_800) % 48 < 2] = 0.0

    even = paired_bootstrap(paired(spread, baseline, 48), min_ratio=0.999)
    uneven = paired_bootstrap(paired(clumped, baseline, 48), min_ratio=0.999)

    assert pytest.approx(uneven.ratio) == even.ratio
    assert _width(uneven) > 4 * _width(even)
    assert even.design_effect < 2 < uneven.design_effect
    assert uneven.questions_needed > 20 * even.questions_needed


@pytest.mark.parametrize(
    ("articles", "unit"), [(1, "question"), (4, "question"), (5, "article"), (48, "article")]
)
def test_few_articles_fall_back_to_questions(articles: int, unit: str) -> None:
    """Below five articles there is no interval by article; the statistics say what was resampled."""
    scores = paired(np.tile([1.0, 0.5, 0.0, 1.0], 60), np.tile([1.0, 1.0, 0.0, 0.5], 60), articles)

    statistics = paired_bootstrap(scores, min_ratio=0.999)

    assert (unit, articles) == (statistics.resampled, statistics.clusters)
    if unit == "question":
        assert statistics.design_effect == 1.0


def test_few_questions_prove_nothing() -> None:
    """A hundred questions without any change prove no 99.9 %: the loss may not have come up."""
    same = paired(np.ones(100), np.ones(100), articles=20)

    assert unseen_loss(0.001, 100) == pytest.approx(paired_bootstrap(same, min_ratio=0.999).p_value, rel=1e-6)
    assert unseen_loss(0.001, 100) > 0.9
    assert unseen_loss(0.000909, 3_300) < 0.05
    assert unseen_loss(-0.01, 5) == 0.0


def test_questions_needed_is_the_published_number() -> None:
    """Changes of RMS 68 points on a share p need 3.46e6 * p questions at the margin of MLPerf."""
    for share in (0.005, 0.01, 0.02):
        needed = questions_needed(68 * math.sqrt(share), 1.0, 0.001 * 90.874)
        assert 3.46e6 * share == pytest.approx(needed, rel=2e-3)


def test_questions_needed_grows_with_the_design_effect() -> None:
    """The design effect multiplies the questions; without a margin or without a change there is no number."""
    assert 2 * questions_needed(5.0, 1.0, 0.1) == pytest.approx(questions_needed(5.0, 2.0, 0.1), abs=2)
    assert questions_needed(5.0, 1.0, 0.0) is None
    assert questions_needed(0.0, 1.0, 0.1) is None


def test_lossless_candidates_rarely_fail() -> None:
    """Of 200 simulated candidates without loss, at most 5 % have an interval below 99.9 %."""
    statistics = [
        paired_bootstrap(squad_like(seed, changed=0.02), min_ratio=0.999, resamples=400)
        for seed in range(200)
    ]

    assert sum(one.high < 0.999 for one in statistics) <= 10


def test_candidates_at_the_limit_rarely_pass() -> None:
    """Of 200 simulated candidates that lose just 2 %, about 5 % are proven to keep 98 %, and not 9 %."""
    statistics = [
        paired_bootstrap(squad_like(seed, changed=0.02, loss=0.02), min_ratio=0.98, resamples=400)
        for seed in range(1_000, 1_200)
    ]

    assert sum(one.low >= 0.98 for one in statistics) <= 18
    assert sum(one.high < 0.98 for one in statistics) <= 18


def test_bound_and_p_agree() -> None:
    """The p is at most 5 % where the lower bound reaches the least ratio, up to a few resamples."""
    for seed in range(40):
        scores = squad_like(seed, changed=0.01, loss=0.01)
        statistics = paired_bootstrap(scores, min_ratio=0.987, resamples=2_000)
        if abs(statistics.p_value - 0.05) > 0.003:
            assert (statistics.low >= 0.987) == (statistics.p_value <= 0.05)


def test_only_articles_are_resampled() -> None:
    """10,000 resamples of 10,570 questions on 48 articles are one small matrix product: they take less than 50 MB."""
    scores = squad_like(0, changed=0.05)
    tracemalloc.start()

    paired_bootstrap(scores, min_ratio=0.999, resamples=10_000)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A weight for each article and resample is 4 MB; for each question it would be 846.
    assert peak < 50e6


@pytest.mark.parametrize(
    ("df", "probability", "quantile"),
    [
        (1, 0.95, 6.313752),
        (2, 0.95, 2.919986),
        (4, 0.95, 2.131847),
        (10, 0.975, 2.228139),
        (47, 0.95, 1.677927),
    ],
)
def test_student_quantiles_are_the_tables(df: int, probability: float, quantile: float) -> None:
    """Student's t is computed right for odd and even degrees of freedom, on both sides."""
    assert quantile == pytest.approx(student_quantile(probability, df), abs=1e-6)
    assert -quantile == pytest.approx(student_quantile(1 - probability, df), abs=1e-6)
    assert probability == pytest.approx(student_cdf(quantile, df), abs=1e-7)


def test_expanded_interval_is_wider_with_fewer_units() -> None:
    """The quantile that is taken moves outwards: 4.5 % for 48 units, 0.9 % for 5, nearly 5 % for many."""
    ratios = np.linspace(0, 1, 100_001)

    lows = [expanded_percentile_interval(ratios, units, 0.95)[0] for units in (5, 48, 10_000)]

    assert pytest.approx(lows, abs=2e-4) == [0.0086, 0.0450, 0.0500]


def test_nothing_to_compare_is_an_error() -> None:
    """Without questions, or with a baseline that answers none, there is no ratio, and that is said."""
    with pytest.raises(EvaluationError, match="no questions"):
        paired(np.array([]), np.array([]), 1)
    with pytest.raises(EvaluationError, match="F1 is 0"):
        paired(np.ones(3), np.zeros(3), 1)
