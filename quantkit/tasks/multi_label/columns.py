"""Columns of 0 and 1 against the labels of a model."""

import re

from quantkit.errors import DatasetError
from quantkit.tasks.multi_label.read import LabelSetQuestion
from quantkit.tasks.task import Dataset

_UNNAMED = re.compile(r"LABEL_[0-9]{1,4}")


def labels_of_columns(
    dataset: Dataset, question: LabelSetQuestion, names: tuple[str, ...]
) -> frozenset[int] | None:
    """Return the indices of a text's labels; None where no column is a label of the model.

    A column that is no label of the model is another thing, and is ignored. A model whose labels have no names takes
    the columns in their order.

    Args:
        dataset: the text's, for messages.
        question: the text, with the columns of 0 and 1 in its file.
        names: of the model's labels, empty when it has none.

    Raises:
        DatasetError: some of the model's labels have a column and one has none.
    """
    given = question.labels or ()
    if all(_UNNAMED.fullmatch(name) for name in names):
        names = names if set(names) & set(question.columns) else question.columns
    if not set(names) & set(question.columns):
        return None
    for name in names:
        if name not in question.columns:
            raise DatasetError(
                f"{dataset.path}: has no column of 0 and 1 for the model's label {name!r}; "
                f"give it one (there are {', '.join(question.columns)})"
            )
    return frozenset(at for at, name in enumerate(names) if name in given)
