"""Text classification: one label for a text or a pair of texts.

A file is JSON Lines: `{"id": "1", "text": "...", "text_pair": "...", "label": "positive", "group": "..."}`;
`text_pair` and `group` may be missing, `label` is a name from the model's config.json or its index. Exact
match and F1 of a prediction are both 1 when the label is right and 0 otherwise: with one label per text,
micro-averaged F1 equals accuracy.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pydantic

from quantkit.errors import DatasetError, EvaluationError, UsageError
from quantkit.files import sha256_bytes
from quantkit.metrics.distributions import softmax
from quantkit.strict_json import parse_json
from quantkit.tasks.reading import explain, read_file, without_mark
from quantkit.tasks.task import (
    Dataset,
    Outputs,
    Prediction,
    Question,
    Right,
    Window,
    WindowSettings,
    require_outputs,
)
from quantkit.tasks.tokenizer import Tokenizer

_FORMAT = 'give JSON Lines with "id", "text" and "label"'
_UNNAMED = re.compile(r"LABEL_([0-9]{1,4})")  # what transformers calls labels that config.json does not name


@dataclass(frozen=True, kw_only=True, slots=True)
class TextQuestion(Question):
    """A text or a pair of texts with its label; its group is its id unless the file says otherwise.

    Attributes:
        text: the text.
        text_pair: the second text of a pair, else None.
        label: the right label, by name or index.
    """

    text: str
    text_pair: str | None
    label: str | int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TextWindow(Window):
    """A text's tokens.

    Attributes:
        label: index of the right label.
        labels: the model's label names, empty when it has none.
    """

    label: int
    labels: tuple[str, ...]


class _Line(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")

    id: str = pydantic.Field(min_length=1)
    text: str
    text_pair: str | None = None
    label: str | int = pydantic.Field(union_mode="left_to_right")
    group: str | None = None


class TextClassification:
    """The task `text-classification`; see `quantkit.tasks.task.Task`."""

    name = "text-classification"
    outputs = ("logits",)
    head = "ForSequenceClassification"
    per_token = False

    def read(self, path: Path, name: str) -> Dataset:
        """Read JSON Lines.

        Raises:
            DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
        """
        content = read_file(path)
        questions: dict[str, TextQuestion] = {}
        for number, line in enumerate(without_mark(content).split(b"\n"), start=1):
            if not line.strip():
                continue
            try:
                row = _Line.model_validate(parse_json(line))
            except pydantic.ValidationError as error:
                raise DatasetError(f"{path}: line {number}: {explain(error)}; {_FORMAT}") from error
            except ValueError as error:
                raise DatasetError(f"{path}: line {number}: is not JSON ({error}); {_FORMAT}") from error
            if row.id in questions:
                raise DatasetError(
                    f"{path}: line {number}: id {row.id!r} was used before; give every text its own"
                )
            group = row.id if row.group is None else row.group
            questions[row.id] = TextQuestion(
                id=row.id, group=group, text=row.text, text_pair=row.text_pair, label=row.label
            )
        digest = sha256_bytes(content)
        return Dataset(
            name=name,
            path=path,
            digest=digest,
            source=digest,
            task=self.name,
            questions=tuple(questions.values()),
        )

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return one window per text, cut to `max_length` tokens; of a pair the longer text is cut first.

        Raises:
            DatasetError: a label that the model does not have.
            UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
        """
        if settings.max_length <= tokenizer.specials(2):
            raise UsageError(f"max_length: {settings.max_length} leaves no room for text; raise it")
        tokenizer.check_length(settings.max_length)
        questions = cast(tuple[TextQuestion, ...], dataset.questions)
        first = tokenizer.encode_ids([question.text for question in questions])
        second = tokenizer.encode_ids([question.text_pair or "" for question in questions])
        windows: list[Window] = []
        for index, (question, ids, pair) in enumerate(zip(questions, first, second, strict=True)):
            if question.text_pair is None:
                row = tokenizer.row(ids[: settings.max_length - tokenizer.specials(1)])
            else:
                kept, kept_pair = shorten(len(ids), len(pair), settings.max_length - tokenizer.specials(2))
                row = tokenizer.row(ids[:kept], pair[:kept_pair])
            windows.append(
                TextWindow(
                    question=index,
                    input_ids=row[0],
                    token_type_ids=row[1],
                    label=_label_index(dataset, question, tokenizer),
                    labels=tokenizer.labels,
                )
            )
        return windows

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return the label of each text."""
        del dataset
        return [((window.label,),) for window in cast(Sequence[TextWindow], windows)]

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
        return [
            float(softmax(logits)[row.label]) if row.label < len(logits) else 0.0
            for row, (logits,) in zip(rows, outputs, strict=True)
        ]


def shorten(first: int, second: int, room: int) -> tuple[int, int]:
    """Return the lengths of two texts cut to `room` tokens together, token by token from the longer one.

    As `longest_first` of the `tokenizers` library: when both are cut, the longer one keeps the odd token.
    """
    if first > second:
        return shorten(second, first, room)[::-1]
    second = min(second, max(first, room - first))
    if first + second > room:
        return room // 2, room - room // 2
    return first, second


def _label_index(dataset: Dataset, question: TextQuestion, tokenizer: Tokenizer) -> int:
    labels = tokenizer.labels
    if isinstance(question.label, int):
        if question.label < 0 or (labels and question.label >= len(labels)):
            raise DatasetError(
                f"{dataset.path}: {question.id}: the model has no label {question.label}; "
                f"{f'give 0 to {len(labels) - 1}' if labels else 'give 0 or more'}"
            )
        return question.label
    unnamed = None if labels else _UNNAMED.fullmatch(question.label)
    if unnamed is not None:
        return int(unnamed[1])
    if question.label not in labels:
        near = difflib.get_close_matches(question.label, labels, n=1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"it has {', '.join(labels) or 'no id2label in config.json'}"
        )
        raise DatasetError(
            f"{dataset.path}: {question.id}: the model has no label {question.label!r}; {hint}"
        )
    return labels.index(question.label)


TASK = TextClassification()
