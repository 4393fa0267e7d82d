"""Text regression: one number for a text or a pair, as cross-encoders for similarity and scorers of essays give it.

A file has rows as `text-classification` reads them, and a number:

    {"id": "1", "text": "...", "text_pair": "...", "score": 3.8}

The metric is Spearman's correlation with the right numbers, Pearson's beside it: neither minds another scale, so a
model trained to give 0 to 1 may be scored on 0 to 5. One text's own score is how near its number is: both sides are
brought to mean 0 and standard deviation 1 over the dataset, and it is exp(-d²/2) of their distance d. Its exact match
is 1 where d is below 0.5.

An answer is the number, rounded to a power of ten that is at most a tenth of the right numbers' standard deviation (0.1
for similarities from 0 to 5), and has changed where it is written otherwise: below that nobody looks, and no two models
agree.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import DatasetError, EvaluationError
from quantkit.metrics.distributions import Outcome
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

_FORMAT = "give rows with text and a number called score"
_MEANINGS = (
    *TEXT,
    Meaning(
        name="score",
        known=("score", "similarity_score", "similarity", "relatedness_score", "label", "labels"),
    ),
    *NAMES,
)
_MOST_DIGITS = 9
NEAR = (
    0.5  # of the standard deviation of what is compared, numbers or ranks: what is nearer is an exact match
)


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberQuestion(PairQuestion):
    """A text or a pair of texts with its number.

    Attributes:
        score: the right number; None in a file that has none, for calibration.
    """

    score: float | None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NumberWindow(Window):
    """A text's tokens.

    Attributes:
        score: the right number, None where the file has none.
    """

    score: float | None


class TextRegression:
    """The task `text-regression`; see `quantkit.tasks.task.Task`."""

    name = "text-regression"
    outputs = ("logits",)
    head = "ForSequenceClassification"
    metric = metric_of("text-regression")
    per_token = False
    per_label = True
    outcome: Outcome = "number"

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read rows of any form.

        Raises:
            DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
        """
        return read_numbers(path, name, columns, advice=_FORMAT, task=self.name)

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return one window per text, cut to `max_length` tokens; of a pair the longer text is cut first.

        Raises:
            UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
        """
        questions = cast(tuple[NumberQuestion, ...], dataset.questions)
        rows = question_rows(dataset, tokenizer, settings.max_length)
        return [
            NumberWindow(
                question=index,
                input_ids=row.input_ids,
                token_type_ids=row.token_type_ids,
                truncated=row.truncated,
                score=question.score,
            )
            for index, (question, row) in enumerate(zip(questions, rows, strict=True))
        ]

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return the number of each text, nothing where the file has none."""
        del dataset
        return [() if row.score is None else ((row.score,),) for row in cast(Sequence[NumberWindow], windows)]

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[Prediction]:
        """Return the number that the model gives each text.

        Raises:
            EvaluationError: a number is missing, NaN or infinite, or there are several; it names the text.
        """
        given, right = _scored(dataset, windows, outputs)
        apart, digits = _distances(given, right), _digits(right)
        return [
            Prediction(
                id=dataset.questions[window.question].id,
                group=dataset.questions[window.question].group,
                answer=f"{round(number, digits) + 0.0:.{max(digits, 0)}f}",
                exact_match=float(distance < NEAR),
                f1=math.exp(-(distance**2) / 2),
                measures=(number, wanted),
            )
            for window, number, wanted, distance in zip(windows, given, right, apart, strict=True)
        ]

    def expected_scores(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[float]:
        """Return each text's own score, which is smooth as it is.

        Raises:
            EvaluationError: a number is missing, NaN or infinite, or there are several; it names the text.
        """
        return [math.exp(-(distance**2) / 2) for distance in _distances(*_scored(dataset, windows, outputs))]


def read_numbers(
    path: Path,
    name: str,
    columns: Mapping[str, str] | None,
    *,
    advice: str,
    task: str,
    kind: type[NumberQuestion] = NumberQuestion,
) -> Dataset:
    """Read rows with a text or two and a number.

    Args:
        path: the file.
        name: the dataset's name.
        columns: meaning → column, as the user says.
        advice: what to give, for messages.
        task: that reads it.
        kind: of its questions.

    Raises:
        DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
    """
    file = TextFile.open(path, _MEANINGS, columns, advice)
    questions: dict[str, NumberQuestion] = {}
    for row in file.rows.rows:
        score = number_of(row, path, file.named["score"], advice) if "score" in file.named else None
        question = kind(**file.fields(row, score, questions), score=score)
        questions[question.id] = question
    return file.dataset(name, task, questions)


def number_of(row: Row, path: Path, column: str, advice: str) -> float:
    """Return the number in a row's column, also where a CSV file has it as text.

    Raises:
        DatasetError: it is none, or is not finite.
    """
    value: Any = row.values.get(column)
    try:
        number = (
            math.nan if isinstance(value, bool) or not isinstance(value, str | int | float) else float(value)
        )
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{path}: {row.place}: {column} is {value!r}, not a number; {advice}")
    return number


def one_number(dataset: Dataset, window: Window, outputs: Outputs) -> float:
    """Return the one number that a model gives.

    Raises:
        EvaluationError: it gives several.
    """
    (logits,) = outputs
    if len(logits) != 1:
        name = dataset.questions[window.question].id
        raise EvaluationError(
            f"the model gives {len(logits)} numbers for {name}, and {dataset.task} needs one; "
            "give a model with one label"
        )
    return float(logits[0])


def _scored(
    dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs]
) -> tuple[list[float], list[float]]:
    require_outputs(dataset, windows, outputs, TextRegression.outputs, per_token=False)
    given, right = [], []
    for window, found in zip(cast(Sequence[NumberWindow], windows), outputs, strict=True):
        given.append(one_number(dataset, window, found))
        if window.score is None:
            raise unanswered(dataset, dataset.questions[window.question], "score")
        right.append(window.score)
    return given, right


def _digits(right: Sequence[float]) -> int:
    """Return how many digits an answer has behind the point; see the module's docstring."""
    spread = float(np.std(np.array(right, dtype=np.float64)))
    return _MOST_DIGITS if spread == 0 else min(_MOST_DIGITS, -math.floor(math.log10(spread / 10)))


def _distances(given: Sequence[float], right: Sequence[float]) -> list[float]:
    return [abs(one - other) for one, other in zip(_standardised(given), _standardised(right), strict=True)]


def _standardised(numbers: Sequence[float]) -> list[float]:
    """Return numbers less their mean, over their standard deviation; zeros where they are all the same."""
    values: NDArray[np.float64] = np.array(numbers, dtype=np.float64)
    centred, spread = values - values.mean(), float(values.std())
    found: list[float] = (centred / spread if spread > 0 else np.zeros_like(centred)).tolist()
    return found


TASK = TextRegression()
