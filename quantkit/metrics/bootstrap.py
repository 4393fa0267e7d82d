"""The paired bootstrap of an F1 ratio, clustered by article, and what it takes to decide one.

Two models answer the same questions. Their F1 differ on few of them, and questions on one article err
together, so the unit that is resampled is the article. What is resampled is only sums: each article's F1
under both models. 10,000 resamples of SQuAD's dev set are one multinomial draw over 48 articles.

* Interval: the expanded percentile interval (Hesterberg 2015, "What Teachers Should Know About the
  Bootstrap", The American Statistician 69, 371-386). A percentile interval of G units is too short, by the
  factor sqrt((G - 1) / G) and for want of Student's t. That is mended by taking, instead of the quantile a,
  the quantile Phi(-sqrt(G / (G - 1)) * t(1 - a; G - 1)): 4.5 % instead of 5 % for 48 articles, 0.9 % for 5.
  In simulation, a bound at one-sided 95 % is then missed in 5 to 7 % of cases from 48 down to 5 articles,
  where the plain percentile bound is missed in 5 to 13 %.
* Fewer than `FEWEST_CLUSTERS` articles: the resamples are too few to have such a quantile (3 articles make 10
  different ones), so questions are resampled instead. That takes questions for independent, which inside an
  article they are not; `RatioStatistics.resampled` says which was done, and reports repeat it.
* p: the share of resamples below the least ratio, brought to the same scale, so that p <= 5 % where the lower
  bound at one-sided 95 % reaches the least ratio. A small p means that the candidate is proven.
* Losses that were never drawn cannot be resampled. A candidate at the least ratio loses `margin` on the
  mean question, at the rarest all of it on a share `margin` of the questions; n questions show none of
  those with probability (1 - margin)^n, and p is never smaller than that. So 0.999 of F1 91 cannot be
  proven on fewer than 3,300 questions, whatever they say.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import EvaluationError

FEWEST_CLUSTERS = 5
POWER = 0.8
_NORMAL = NormalDist()
_CELLS = 4_000_000  # of one block of resamples x units: 32 MB of weights
_LARGE_DF = 1000  # Student's t is the normal distribution from here on, to 0.1 % of the quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PairedScores:
    """Two models' F1 on the same questions, in the same order.

    Attributes:
        candidate: float64 [questions], from 0 to 1.
        baseline: float64 [questions], from 0 to 1.
        groups: [questions], the article of each question.
    """

    candidate: Floats
    baseline: Floats
    groups: Sequence[str]

    def __post_init__(self) -> None:
        """Refuse what is not paired, is empty, or has no ratio.

        Raises:
            ValueError: the three are not of one length.
            EvaluationError: there is no question, or the baseline answers none.
        """
        if not len(self.candidate) == len(self.baseline) == len(self.groups):
            raise ValueError("candidate, baseline and groups must be of one length")
        if not len(self.groups):
            raise EvaluationError("gate: there are no questions to compare; evaluate both sides on a dataset")
        if not np.any(self.baseline > 0):
            raise EvaluationError(
                "gate: the baseline's F1 is 0, so there is no ratio to it; check that model and dataset fit"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioStatistics:
    """What paired scores say about the ratio of the F1.

    Attributes:
        ratio: sum of the candidate's F1 / sum of the reference's F1.
        low: lower bound at the one-sided confidence that was asked for.
        high: upper bound at the same confidence.
        confidence: two-sided confidence of [low, high]: 0.9 for one-sided 0.95.
        p_value: one-sided, of the ratio being below the least ratio.
        changed: share of questions whose F1 differs.
        questions: how many there are.
        clusters: how many articles they are on.
        resampled: the unit that was resampled.
        sd: standard deviation of the paired differences, in F1 points (0 to 100).
        design_effect: variance by article over variance by question, at least 1.
        questions_needed: see `questions_needed`; None when nothing differs or there is no margin.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    p_value: float
    changed: float
    questions: int
    clusters: int
    resampled: Literal["article", "question"]
    sd: float
    design_effect: float
    questions_needed: int | None


def paired_bootstrap(
    pairs: PairedScores,
    *,
    min_ratio: float,
    reference_f1: float | None = None,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> RatioStatistics:
    """Return the statistics of candidate F1 / reference F1. The order of the questions does not matter.

    Args:
        pairs: the two models' F1.
        min_ratio: the least ratio that is accepted.
        reference_f1: a fixed reference in percent, such as 90.874. Then only the candidate varies and nothing
            is paired: the interval is several times as wide. None: the baseline's F1.
        confidence: of each bound, one-sided, above 0.5.
        resamples: how many; the same seed gives the same result.
        seed: of the resampling.
    """
    reference = pairs.baseline if reference_f1 is None else np.full(len(pairs.groups), reference_f1 / 100)
    articles = _sums_by_article(pairs.candidate, reference, pairs.groups)
    clustered = len(articles) >= FEWEST_CLUSTERS
    units = articles if clustered else np.stack([pairs.candidate - reference, reference], axis=1)
    ratio = 1 + math.fsum(units[:, 0]) / math.fsum(units[:, 1])
    ratios = _resampled_ratios(units, resamples=resamples, seed=seed)
    low, high = expanded_percentile_interval(ratios, len(units), confidence)
    sd, design_effect = _spread(pairs.candidate - ratio * reference, pairs.groups, clustered=clustered)
    margin = (1 - min_ratio) * math.fsum(reference) / len(reference)
    return RatioStatistics(
        ratio=ratio,
        # An interval without its own estimate would say nothing; this can only widen it.
        low=min(low, ratio),
        high=max(high, ratio),
        confidence=round(2 * confidence - 1, 12),
        p_value=max(expanded_p_value(ratios, len(units), min_ratio), unseen_loss(margin, len(pairs.groups))),
        changed=float(np.mean(pairs.candidate != pairs.baseline)),
        questions=len(pairs.groups),
        clusters=len(articles),
        resampled="article" if clustered else "question",
        sd=sd,
        design_effect=design_effect,
        questions_needed=questions_needed(sd, design_effect, 100 * margin, confidence),
    )


def expanded_percentile_interval(ratios: Floats, units: int, confidence: float) -> tuple[float, float]:
    """Return the lower and the upper bound, each of one-sided `confidence`; see the module's docstring.

    Args:
        ratios: float64 [resamples], sorted.
        units: how many units were resampled. A single one has no spread: both bounds are its ratio.
        confidence: one-sided, above 0.5.
    """
    if units < 2:
        return float(ratios[0]), float(ratios[-1])
    tail = _NORMAL.cdf(-math.sqrt(units / (units - 1)) * student_quantile(confidence, units - 1))
    # Towards the outside: between two resamples the wider bound is taken.
    outer = math.floor(tail * (len(ratios) - 1))
    return float(ratios[outer]), float(ratios[len(ratios) - 1 - outer])


def expanded_p_value(ratios: Floats, units: int, min_ratio: float) -> float:
    """Return the one-sided p of the ratio being below `min_ratio`, on the scale of the expanded interval.

    The raw share counts what was observed as one more resample, on the side of doubt (Davison and Hinkley
    1997, "Bootstrap Methods and their Application", chapter 4), so it is never 0.
    """
    below = int(np.searchsorted(ratios, min_ratio, side="left"))
    raw = (below + 1) / (len(ratios) + 1)
    if raw >= 1 or units < 2:
        return 1.0 if raw >= 1 else raw
    return student_cdf(_NORMAL.inv_cdf(raw) * math.sqrt((units - 1) / units), units - 1)


def unseen_loss(margin: float, questions: int) -> float:
    """Return the probability that so many questions show nothing of a loss of `margin` (0 to 1) per question.

    At a margin of 0 or below nothing may be lost at all; then there is no loss to be missed and it is 0.
    """
    return (1 - min(margin, 1.0)) ** questions if margin > 0 else 0.0


def questions_needed(sd: float, design_effect: float, margin: float, confidence: float = 0.95) -> int | None:
    """Return how many questions let a lossless candidate pass with 80 % power.

    n = ((z(confidence) + z(0.8)) * sd / margin)^2 * design_effect: the sample size of a non-inferiority
    test of paired means (Julious 2004, "Sample sizes for clinical trials with Normal data", Statistics in
    Medicine 23, 1921-1986) times the design effect of clusters (Kish 1965, "Survey Sampling", section 8.2).
    With differences of RMS 68 points on a share p of the questions, a margin of 0.1 % of 90.874 and no
    clusters it is 3.46e6 * p. It holds for more questions from articles of the same size.

    Args:
        sd: of the paired differences, in F1 points.
        design_effect: variance by article over variance by question.
        margin: how many F1 points may be lost.
        confidence: one-sided.

    Returns:
        None when nothing differs (sd 0), or when nothing may be lost: then no number of questions is enough.
    """
    if sd == 0 or margin <= 0:
        return None
    quantiles = _NORMAL.inv_cdf(confidence) + _NORMAL.inv_cdf(POWER)
    return math.ceil((quantiles * sd / margin) ** 2 * design_effect)


def student_cdf(t: float, df: int) -> float:
    """Return the probability that Student's t with `df` degrees of freedom is at most `t`.

    A finite series for whole df: Abramowitz and Stegun 1964, "Handbook of Mathematical Functions", 26.7.3-4.
    """
    if df >= _LARGE_DF:
        return _NORMAL.cdf(t)
    theta = math.atan(t / math.sqrt(df))
    cosine = math.cos(theta)
    odd = df % 2
    term = cosine if odd else 1.0
    total = term if df > 1 else 0.0
    for step in range(2 + odd, df - 1, 2):
        term *= cosine * cosine * (step - 1) / step
        total += term
    inside = math.sin(theta) * total
    if odd:
        inside = 2 / math.pi * (theta + inside)
    return (1 + inside) / 2


def student_quantile(probability: float, df: int) -> float:
    """Return the t that Student's t stays below with this probability, by bisection to 1e-12 of itself."""
    low, high = -1.0, 1.0
    while student_cdf(low, df) > probability:
        low *= 2
    while student_cdf(high, df) < probability:
        high *= 2
    while high - low > 1e-12 * max(abs(low), abs(high)):
        middle = (low + high) / 2
        if student_cdf(middle, df) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _sums_by_article(candidate: Floats, reference: Floats, groups: Sequence[str]) -> Floats:
    """Return [articles, 2]: the sums of (candidate - reference) and of the reference, articles by name.

    Sums are correctly rounded (fsum), so they do not depend on the order of the questions.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    difference = candidate - reference
    rows = [members[name] for name in sorted(members)]
    sums = [[math.fsum(difference[row]), math.fsum(reference[row])] for row in rows]
    return np.array(sums, dtype=np.float64)


def _resampled_ratios(units: Floats, *, resamples: int, seed: int) -> Floats:
    """Return the sorted ratios of resamples with replacement, [resamples] or fewer.

    Units that are alike count as one with a multiplicity. That changes nothing in the distribution, makes
    the result independent of order, and makes questions (few distinct pairs of scores) as cheap as
    articles. The ratio is taken as 1 + difference / reference, so that equal scores give exactly 1.
    Resamples whose reference is 0 have no ratio and are left out.
    """
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS // len(kinds))
    ratios = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        weights = generator.multinomial(len(units), counts / len(units), size=size)
        difference, reference = weights @ kinds[:, 0], weights @ kinds[:, 1]
        defined = reference > 0
        ratios.append(1 + difference[defined] / reference[defined])
    return np.sort(np.concatenate(ratios))


def _spread(residuals: Floats, groups: Sequence[str], *, clustered: bool) -> tuple[float, float]:
    """Return the standard deviation of `residuals` in F1 points, and the design effect of the articles.

    The residuals of a ratio, candidate - ratio * reference, have mean 0, and the variance of their mean is,
    to first order, that of the ratio times the mean reference (Cochran 1977, "Sampling Techniques", chapter
    6).
    """
    count = len(residuals)
    squares = math.fsum(residuals * residuals)
    if squares == 0 or count < 2:
        return 0.0, 1.0
    sd = 100 * math.sqrt(squares / (count - 1))
    if not clustered:
        return sd, 1.0
    by_article = _sums_by_article(residuals, np.zeros(count), groups)[:, 0]
    articles = len(by_article)
    between = math.fsum(by_article * by_article) * articles / (articles - 1)
    # Questions of an article that happen to cancel are luck, not information: never below 1.
    return sd, max(1.0, between / (squares * count / (count - 1)))
