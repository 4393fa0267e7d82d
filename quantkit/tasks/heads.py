"""Heads that no task scores yet: several labels of a text at once, and one number.

Such a checkpoint has the same class, the same weights' names and the same graph as one that chooses one label of
several, and only its config.json tells. Scored by the highest logit, it would pass any gate: one logit is always the
highest, and the others mean nothing.
"""

from collections.abc import Mapping
from typing import Any

CHOOSES_A_LABEL = "ForSequenceClassification"
_SINGLE_LABEL = "single_label_classification"
_SAYS = {
    "multi_label_classification": "a head that gives a text any number of labels",
    "regression": "a head that gives a text a number",
}


def unfit_head(config: Mapping[str, Any], head: str) -> str | None:
    """Return what a checkpoint's head is, in words, when no task scores it; None when one does.

    Args:
        config: the checkpoint's config.json.
        head: of its task.
    """
    if head != CHOOSES_A_LABEL:
        return None
    said = config.get("problem_type")
    if said is not None and said != _SINGLE_LABEL:
        what = _SAYS.get(said, "no head that transformers knows") if isinstance(said, str) else "no text"
        return f"problem_type is {said!r}, {what}"
    labels = config.get("id2label")
    counts = [config.get("num_labels"), len(labels) if isinstance(labels, Mapping) and labels else None]
    if 1 in [count for count in counts if not isinstance(count, bool)]:
        return "it has one label, so its head gives a text a number"
    return None
