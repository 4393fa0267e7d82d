"""What is told beside a task's metric: other views of the same measures, computed again wherever they are shown."""

from collections.abc import Sequence

import numpy as np

from quantkit.metrics.label_sets import label_f1, macro_f1
from quantkit.metrics.metric import Floats
from quantkit.metrics.rank_correlation import pearson


def others(task: str, measures: Floats, labels: Sequence[str]) -> dict[str, float]:
    """Return name → value in percent: macro F1 and that of each label, Pearson, MRR@10; nothing for other tasks.

    Args:
        task: the task's name.
        measures: [questions, numbers], as the task measures.
        labels: the model's label names, as far as it has some.
    """
    if task == "multi-label-classification":
        sums = measures.sum(axis=0)
        each = label_f1(sums)
        named = [labels[at] if at < len(labels) else f"label {at}" for at in range(len(each))]
        return {
            "macro F1": 100 * float(macro_f1(sums)),
            **{f"F1 of {name}": 100 * float(value) for name, value in zip(named, each, strict=True)},
        }
    if task == "text-regression":
        return {"Pearson": 100 * float(pearson(measures[:, 0], measures[:, 1]))}
    if task == "reranking":
        return {"MRR@10": 100 * float(np.mean(measures[:, 1]))}
    return {}
