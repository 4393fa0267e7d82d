"""The metrics of each task: the first is the task's own, others are those an evaluation may name instead.

They are told apart by name, and a verdict finds them here: it is judged again where no task can be loaded.
"""

from quantkit.metrics.metric import Chance, CountedF1, Mean, Metric
from quantkit.metrics.sets_and_ranks import Correlation, LabelSetsF1, RankedMean
from quantkit.records.evaluation import UNNAMED, UNSCORED

METRICS: dict[str, tuple[Metric, ...]] = {
    # A model with its weights in disorder has F1 2 to 5 on SQuAD.
    "squad": (Mean(name="F1", guess=Chance(percent=10.0, words="spans by chance")),),
    "sentence-similarity": (
        Correlation(name="Spearman", by_ranks=True, changed="score"),
        # Of texts without scores nothing is right or wrong: the gate compares embeddings, and this is always 100.
        Mean(name=UNSCORED, guess=Chance(percent=0.0, words="nothing to guess")),
    ),
    "text-classification": (Mean(name="accuracy"),),
    "multi-label-classification": (LabelSetsF1(),),
    "text-regression": (
        Correlation(name="Spearman", by_ranks=True),
        Correlation(name="Pearson", by_ranks=False),
    ),
    "reranking": (RankedMean(name="NDCG@10"),),
    # Tags drawn at random make entities that are hardly ever whole.
    "token-classification": (
        CountedF1(name="entity F1", guess=Chance(percent=10.0, words="entities by chance")),
    ),
}


def metric_of(task: str, name: str = "") -> Metric:
    """Return a task's metric.

    Args:
        task: the task's name.
        name: the metric's; empty, or `UNNAMED` where the task has no metric of that name: the task's own.

    Raises:
        KeyError: there is no such task, or it has no such metric.
    """
    metrics = METRICS[task]
    if name in ("", UNNAMED) and name not in [metric.name for metric in metrics]:
        return metrics[0]
    return {metric.name: metric for metric in metrics}[name]
