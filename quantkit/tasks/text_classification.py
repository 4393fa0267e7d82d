"""Text classification: one label for a text or a pair of texts.

A file has rows, such as lines of JSON:

    {"id": "1", "text": "...", "text_pair": "...", "label": "positive", "group": "..."}

`id`, `text_pair` and `group` may be missing; `label` is a name from the model's config.json or its index. Exact match
and F1 of a prediction are both 1 when the label is right and 0 otherwise: with one label per text, micro-averaged F1
equals accuracy.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from quantkit.errors import DatasetError, EvaluationError
from quantkit.metrics.distributions import Outcome, softmax
from quantkit.metrics.of_tasks import metric_of
from quantkit.tasks.rows.columns import Meaning
from quantkit.tasks.rows.formats import Row
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
from quantkit.tasks.texts import NAMES, TEXT, PairQuestion, TextFile, question_rows
from quantkit.tasks.tokenizer import Tokenizer

UNLABELLED = -1
_FORMAT = "give rows with text and label"
_UNNAMED = re.compile(r"LABEL_([0-9]{1,4})")  # what transformers calls labels that config.json does not name


@dataclass(frozen=True, kw_only=True, slots=True)
class TextQuestion(PairQuestion):
    """A text or a pair of texts with its label.

    Attributes:
        label: the right label, by name or index; None in a file for calibration, which has no labels.
    """

    label: str | int | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TextWindow(Window):
    """A text's tokens.

    Attributes:
        label: index of the right label, `UNLABELLED` where the file has none.
        labels: the model's label names, empty when it has none.
    """

    label: int
    labels: tuple[str, ...]


_MEANINGS = (*TEXT, Meaning(name="label", known=("label", "labels")), *NAMES)


class TextClassification:
    """The task `text-classification`; see `quantkit.tasks.task.Task`."""

    name = "text-classification"
    outputs = ("logits",)
    head = "ForSequenceClassification"
    metric = metric_of("text-classification")
    per_token = False
    outcome: Outcome = "choice"
    per_label = True

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read rows of any form.

        Raises:
            DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
        """
        file = TextFile.open(path, _MEANINGS, columns, _FORMAT)
        questions: dict[str, TextQuestion] = {}
        for row in file.rows.rows:
            label = _label(row, file)
            question = TextQuestion(**file.fields(row, label, questions), label=label)
            questions[question.id] = question
        return file.dataset(name, self.name, questions)

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return one window per text, cut to `max_length` tokens; of a pair the longer text is cut first.

        Raises:
            DatasetError: a label that the model does not have.
            UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
        """
        questions = cast(tuple[TextQuestion, ...], dataset.questions)
        rows = question_rows(dataset, tokenizer, settings.max_length)
        return [
            TextWindow(
                question=index,
                input_ids=row.input_ids,
                token_type_ids=row.token_type_ids,
                truncated=row.truncated,
                label=label_index(dataset, question.id, question.label, tokenizer),
                labels=tokenizer.labels,
            )
            for index, (question, row) in enumerate(zip(questions, rows, strict=True))
        ]

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return the label of each text, nothing where it has none."""
        del dataset
        rows = cast(Sequence[TextWindow], windows)
        return [((row.label,) if row.label != UNLABELLED else (),) for row in rows]

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[Prediction]:
        """Return the label with the highest logit for each text, the first of equal ones.

        Raises:
            EvaluationError: logits are missing, NaN or infinite, or there is only one; it names the text.
        """
        require_outputs(dataset, windows, outputs, self.outputs, per_token=self.per_token)
        predictions = []
        for window, (logits,) in zip(cast(Sequence[TextWindow], windows), outputs, strict=True):
            question = dataset.questions[window.question]
            if len(logits) < 2:
                raise EvaluationError(
                    f"the model gives one number for {question.id}, and no label can be chosen by it; "
                    "give a model that chooses between labels"
                )
            if window.label == UNLABELLED:
                raise unanswered(dataset, question, "label")
            best = int(np.argmax(logits))
            right = float(best == window.label)
            predictions.append(
                Prediction(
                    id=question.id,
                    group=question.group,
                    answer=window.labels[best] if best < len(window.labels) else str(best),
                    exact_match=right,
                    f1=right,
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
        """Return the probability that the model gives the right label of each text.

        Raises:
            EvaluationError: logits are missing, NaN or infinite; it names the text.
        """
        require_outputs(dataset, windows, outputs, self.outputs, per_token=self.per_token)
        rows = cast(Sequence[TextWindow], windows)
        for row in rows:
            if row.label == UNLABELLED:
                raise unanswered(dataset, dataset.questions[row.question], "label")
        return [
            float(softmax(logits)[row.label]) if row.label < len(logits) else 0.0
            for row, (logits,) in zip(rows, outputs, strict=True)
        ]


def _label(row: Row, file: TextFile) -> str | int | None:
    """Return the label of one row, None where the file has none.

    Raises:
        DatasetError: it is no name or number.
    """
    if "label" not in file.named:
        return None
    label = row.values.get(file.named["label"])
    if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
        raise DatasetError(
            f"{file.path}: {row.place}: {file.named['label']} is {label!r}, not a label; {_FORMAT}"
        )
    return label


def label_index(dataset: Dataset, name: str, label: str | int | None, tokenizer: Tokenizer) -> int:
    """Return the index of a text's label, `UNLABELLED` where it has none.

    Args:
        dataset: the text's, for messages.
        name: the text's id.
        label: its label, by name or index.
        tokenizer: of the model, whose labels count.

    Raises:
        DatasetError: the model has no such label.
    """
    labels = tokenizer.labels
    if label is None:
        return UNLABELLED
    if isinstance(label, str) and label not in labels:
        unnamed = None if labels else _UNNAMED.fullmatch(label)
        digits = unnamed[1] if unnamed else label
        if not digits.isdecimal():
            raise DatasetError(
                f"{dataset.path}: {name}: the model has no label {label!r}; {_near(label, labels)}"
            )
        label = int(digits)  # in a CSV file every number is text
    if isinstance(label, str):
        return labels.index(label)
    if label < 0 or (labels and label >= len(labels)):
        raise DatasetError(
            f"{dataset.path}: {name}: the model has no label {label}; "
            f"{f'give 0 to {len(labels) - 1}' if labels else 'give 0 or more'}"
        )
    return label


def _near(label: str, labels: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(label, labels, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"it has {', '.join(labels) or 'no id2label in config.json'}"


TASK = TextClassification()
