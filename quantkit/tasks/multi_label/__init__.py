"""Multi-label classification: any number of labels for a text or a pair of texts, also none.

A file has rows as `text-classification` reads them, and its labels in one of four forms (`read`). The model says yes to
a label where its sigmoid is above 0.5, which is where its logit is above 0. The metric is micro F1, over the labels of
all texts together; a text's own F1 is that of its set of labels (both empty: 1), and its exact match is 1 when no label
is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import EvaluationError
from quantkit.metrics.distributions import Outcome
from quantkit.metrics.label_sets import counts, expected_set_f1, set_f1
from quantkit.metrics.of_tasks import metric_of
from quantkit.tasks.multi_label.columns import labels_of_columns
from quantkit.tasks.multi_label.read import LabelSetQuestion, read
from quantkit.tasks.task import (
    Dataset,
    Outputs,
    Prediction,
    Right,
    Window,
    WindowSettings,
    require_outputs,
    unanswered,
)
from quantkit.tasks.text_classification import label_index
from quantkit.tasks.texts import question_rows
from quantkit.tasks.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelSetWindow(Window):
    """A text's tokens.

    Attributes:
        right: indices of the right labels, None where the file has none.
        labels: the model's label names, empty when it has none.
    """

    right: frozenset[int] | None
    labels: tuple[str, ...]


class MultiLabelClassification:
    """The task `multi-label-classification`; see `quantkit.tasks.task.Task`."""

    name = "multi-label-classification"
    outputs = ("logits",)
    head = "ForSequenceClassification"
    metric = metric_of("multi-label-classification")
    per_token = False
    per_label = True
    outcome: Outcome = "flags"

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read rows of any form.

        Raises:
            DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
        """
        return read(path, name, columns or {}, task=self.name)

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return one window per text, cut to `max_length` tokens; of a pair the longer text is cut first.

        Raises:
            DatasetError: a label that the model does not have, or a label of the model that has no column.
            UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
        """
        questions = cast(tuple[LabelSetQuestion, ...], dataset.questions)
        rows = question_rows(dataset, tokenizer, settings.max_length)
        return [
            LabelSetWindow(
                question=index,
                input_ids=row.input_ids,
                token_type_ids=row.token_type_ids,
                truncated=row.truncated,
                right=_right(dataset, question, tokenizer),
                labels=tokenizer.labels,
            )
            for index, (question, row) in enumerate(zip(questions, rows, strict=True))
        ]

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return the labels of each text, which may be none; nothing at all where the file does not say."""
        del dataset
        rows = cast(Sequence[LabelSetWindow], windows)
        return [() if row.right is None else (tuple(sorted(row.right)),) for row in rows]

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[Prediction]:
        """Return the labels whose logit is above 0 for each text.

        Raises:
            EvaluationError: logits are missing, NaN or infinite, or there are fewer than labels; it names the text.
        """
        right = _scored(dataset, windows, outputs)
        predictions = []
        for window, (logits,), wanted in zip(
            cast(Sequence[LabelSetWindow], windows), outputs, right, strict=True
        ):
            question = dataset.questions[window.question]
            given = frozenset(int(at) for at in np.flatnonzero(logits > 0))
            names = [window.labels[at] if at < len(window.labels) else str(at) for at in sorted(given)]
            predictions.append(
                Prediction(
                    id=question.id,
                    group=question.group,
                    answer=", ".join(names),
                    exact_match=float(given == wanted),
                    f1=set_f1(given, wanted),
                    measures=counts(given, wanted, len(logits)),
                )
            )
        return predictions

    def expected_scores(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[float]:
        """Return the F1 that each text's labels may expect when each is drawn by its sigmoid.

        Raises:
            EvaluationError: logits are missing, NaN or infinite, or there are fewer than labels; it names the text.
        """
        right = _scored(dataset, windows, outputs)
        return [
            expected_set_f1(sigmoid(logits), wanted) for (logits,), wanted in zip(outputs, right, strict=True)
        ]


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability of each label, float64 [labels]."""
    result: NDArray[np.float64] = 0.5 * (1 + np.tanh(logits.astype(np.float64) / 2))
    return result


def _right(dataset: Dataset, question: LabelSetQuestion, tokenizer: Tokenizer) -> frozenset[int] | None:
    if question.columns:
        return labels_of_columns(dataset, question, tokenizer.labels)
    if question.labels is None:
        return None
    return frozenset(label_index(dataset, question.id, label, tokenizer) for label in question.labels)


def _scored(dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs]) -> list[frozenset[int]]:
    """Return the right labels of each text, after every check.

    Raises:
        EvaluationError: logits are missing, NaN or infinite, or there are fewer than labels; it names the text.
        DatasetError: a text has no labels to score.
    """
    require_outputs(dataset, windows, outputs, MultiLabelClassification.outputs, per_token=False)
    found = []
    for window, (logits,) in zip(cast(Sequence[LabelSetWindow], windows), outputs, strict=True):
        question = dataset.questions[window.question]
        if window.right is None:
            raise unanswered(dataset, question, "labels")
        named = len(window.labels) or len(logits)
        if len(logits) != named or max(window.right, default=0) >= len(logits):
            raise EvaluationError(
                f"the model gives {len(logits)} numbers for {question.id}, and its labels are {named}; "
                "use the model's own config.json"
            )
        found.append(window.right)
    return found


TASK = MultiLabelClassification()
