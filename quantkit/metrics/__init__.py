"""Scores and statistics, in plain numpy: answers against gold answers, two models against each other.

`answers` scores an answer (exact match, F1), `bootstrap` says what a difference of scores proves (the gate), and
`distributions` how far a model's distributions are from another's (the search).
"""

from quantkit.metrics.answers import exact_match, f1
from quantkit.metrics.bootstrap import PairedScores, RatioStatistics, paired_bootstrap
from quantkit.metrics.distributions import divergence, ratio_bound, softmax

__all__ = [
    "PairedScores",
    "RatioStatistics",
    "divergence",
    "exact_match",
    "f1",
    "paired_bootstrap",
    "ratio_bound",
    "softmax",
]
