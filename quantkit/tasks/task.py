"""What a task is: questions become windows, model outputs become predictions.

    read          a file             -> Dataset of Questions
    cut           Dataset, Tokenizer -> Windows (token ids of true length, never padded)
    predict       Windows, outputs   -> one Prediction per Question, always

A runtime sees windows as arrays of token ids and gives back one tuple of arrays per window; everything that
knows what the numbers mean is in the task.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import DatasetError, EvaluationError, UsageError
from quantkit.files import digest_of
from quantkit.metrics.distributions import Outcome
from quantkit.metrics.metric import Metric
from quantkit.tasks.rows.columns import answer_column
from quantkit.tasks.tokenizer import Tokenizer

_THRESHOLD = "null_score_diff_threshold"
_IN_NO_COLUMN = ("right answer", "second text")


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowSettings:
    """How text becomes windows and logits become answers; the defaults are BERT's and MLPerf's for SQuAD.

    Attributes:
        max_length: the most tokens in one window, special tokens included.
        doc_stride: by how many document tokens a window advances (not how many two windows share).
        max_query_length: the most tokens of a question.
        n_best: how many start and how many end positions of a window are considered.
        max_answer_length: the most tokens in an answer.
        null_score_diff_threshold: by how much no answer must be above the best one to be given, in logits; only where
            the data has questions without an answer (SQuAD 2.0).
    """

    max_length: int = 384
    doc_stride: int = 128
    max_query_length: int = 64
    n_best: int = 20
    max_answer_length: int = 30
    null_score_diff_threshold: float = 0.0

    def __post_init__(self) -> None:
        """Refuse settings below 1.

        Raises:
            UsageError: a length is not positive, or the threshold is no number.
        """
        for name, value in asdict(self).items():
            if name == _THRESHOLD and not math.isfinite(value):
                raise UsageError(f"{name}: is {value}; give a number")
            if name != _THRESHOLD and value < 1:
                raise UsageError(f"{name}: is {value}; give a whole number of 1 or more")

    def as_json(self) -> dict[str, Any]:
        """Return the settings as a plain dictionary, for digests and reports; without the threshold where it is 0."""
        return {name: value for name, value in asdict(self).items() if name != _THRESHOLD or value}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question or text. Tasks add what they need to know about it.

    Attributes:
        id: unique in its dataset.
        group: what it shares with related questions (article title, document); statistics cluster by it.
    """

    id: str
    group: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Questions in a fixed order, with a digest that says which they are.

    Attributes:
        name: how people call it.
        path: the file it was read from.
        digest: sha256 of the file's bytes; of `source` and the chosen ids when it is a part of the file.
        source: sha256 of the file's bytes, also for a part of it.
        task: the name of the task that read it.
        questions: never empty, ids unique.
    """

    name: str
    path: Path
    digest: str
    source: str
    task: str
    questions: tuple[Question, ...]

    def without(self, ids: Iterable[str]) -> "Dataset":
        """Return the dataset less the questions with these ids; ids it does not have are no error.

        Raises:
            DatasetError: no question is left.
        """
        gone = frozenset(ids)
        return self._part(tuple(question for question in self.questions if question.id not in gone))

    def only(self, ids: Iterable[str]) -> "Dataset":
        """Return the questions with these ids, in the order of `ids`.

        Raises:
            DatasetError: an id is not in the dataset, is named twice, or there are none.
        """
        by_id = {question.id: question for question in self.questions}
        chosen: dict[str, Question] = {}
        for name in ids:
            if name not in by_id:
                raise DatasetError(f"{self.path}: has no question {name!r}; choose ids that are in the file")
            if name in chosen:
                raise DatasetError(f"{self.path}: question {name!r} was chosen twice; name it once")
            chosen[name] = by_id[name]
        return self._part(tuple(chosen.values()))

    def limit(self, count: int) -> "Dataset":
        """Return the first `count` questions, or all when there are no more than that.

        Raises:
            DatasetError: `count` is below 1.
        """
        if count < 1:
            raise DatasetError(f"{self.path}: a limit of {count} leaves no question; give 1 or more")
        return self._part(self.questions[:count])

    def _part(self, questions: tuple[Question, ...]) -> "Dataset":
        if not questions:
            raise DatasetError(
                f"{self.path}: no question is left of {len(self.questions)}; choose at least one"
            )
        if questions == self.questions:
            return self
        digest = digest_of({"source": self.source, "ids": [question.id for question in questions]})
        return replace(self, digest=digest, questions=questions)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """One row for the model, of true length: nothing is padded here.

    Attributes:
        question: index into the dataset's questions.
        input_ids: int64 [tokens].
        token_type_ids: int64 [tokens]; zeros where the model family has no token types.
        truncated: part of the question or text is in no window, for it is too long; None where the task does not say.
    """

    question: int
    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    truncated: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What the model answered to one question, and how right that is.

    Attributes:
        id: the question's id.
        group: the question's group.
        answer: the answer's text, or the label's name.
        exact_match: 1.0 or 0.0.
        f1: the question's own score, from 0 to 1.
        measures: what the task's metric is made of (`quantkit.metrics.metric`); empty: of `f1` alone.
    """

    id: str
    group: str
    answer: str
    exact_match: float
    f1: float
    measures: tuple[float, ...] = ()


Outputs = tuple[NDArray[Any], ...]

Right = tuple[tuple[float, ...], ...]
"""For each output of a window what a label calls right, by the task's outcome.

A choice: the places, tokens or labels, and an empty tuple where it names none. Flags: the labels that are yes, which
may be none. A number: the number. Where there is no label at all, flags and numbers have no output either.
"""


class Task(Protocol):
    """What the model does. Implementations are stateless."""

    @property
    def name(self) -> str:
        """The name in recipes and on the command line, such as `text-classification`."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the graph outputs, in the order `predict` takes them."""

    @property
    def head(self) -> str:
        """The head of checkpoints made for it, as transformers' classes end (`quantkit.architectures`)."""

    @property
    def metric(self) -> Metric:
        """What makes one number of the predictions' measures."""

    @property
    def per_token(self) -> bool:
        """Whether an output has a number for each token of a row; else one for each label."""

    @property
    def outcome(self) -> Outcome:
        """What the numbers of an output are (`quantkit.metrics.distributions.Outcome`)."""

    @property
    def per_label(self) -> bool:
        """Whether an output has a number for each label: with `per_token`, one for each label of each token."""

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read a file.

        Args:
            path: the file.
            name: the dataset's name.
            columns: meaning → column, where a file of rows has names of its own.

        Raises:
            DatasetError: it cannot be read, is empty, truncated, of another schema, or has an id twice.
        """

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return the windows of every question, in the order of the questions, at least one each."""

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return for each window what its labels call right, to learn from.

        Args:
            dataset: the one the windows were made of.
            windows: as `cut` returned them.
        """

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,
    ) -> list[Prediction]:
        """Return one prediction per question, in the order of the questions.

        Args:
            dataset: the one the windows were made of.
            windows: as `cut` returned them.
            outputs: for window i the arrays named by `self.outputs`, without a batch dimension.
            settings: as given to `cut`.

        Raises:
            EvaluationError: an output is missing, has the wrong shape, or holds NaN or Infinity; it names the
                question.
        """

    def expected_scores(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,
    ) -> list[float]:
        """Return the score that each question may expect, 0 to 1, when answers are drawn as the outputs say.

        The score itself jumps when an answer changes and is still otherwise; this one feels every change, so far
        fewer questions tell two models apart. Takes what `predict` takes, and raises what it raises.
        """


def unanswered(dataset: Dataset, question: Question, what: str) -> DatasetError:
    """Return the error of scoring a question whose right answer no one gave; calibrating needs none.

    Args:
        dataset: the question's.
        question: the first such one.
        what: it lacks, such as "label".
    """
    column = None if what in _IN_NO_COLUMN else answer_column(dataset.task, dataset.path)
    name_it = "" if column is None else f"say which column it is ({column}), or "
    return DatasetError(
        f"{dataset.path}: {question.id}: has no {what}, so there is nothing to score; "
        f"{name_it}use the file for calibration only"
    )


def require_outputs(
    dataset: Dataset,
    windows: Sequence[Window],
    outputs: Sequence[Outputs],
    names: tuple[str, ...],
    *,
    per_token: bool,
    per_label: bool = False,
) -> None:
    """Check that every window has all its outputs, that all are finite, and that no question was lost.

    Args:
        dataset: the one the windows were made of.
        windows: all of them.
        outputs: one tuple per window.
        names: the names of the arrays in a tuple.
        per_token: arrays are [tokens] of their window; else one-dimensional and not empty.
        per_label: with `per_token`, arrays are [tokens, labels].

    Raises:
        EvaluationError: naming the first question for which this does not hold.
    """
    if len(outputs) > len(windows):
        raise EvaluationError(
            f"{dataset.name}: {len(outputs)} outputs for {len(windows)} windows; evaluate again"
        )
    for index, window in enumerate(windows):
        place = f"{dataset.name}: question {dataset.questions[window.question].id}"
        if index >= len(outputs) or len(outputs[index]) != len(names):
            raise EvaluationError(f"{place}: the model gave no {' and '.join(names)}; evaluate again")
        for name, array in zip(names, outputs[index], strict=True):
            tokens = array.shape[:1] == window.input_ids.shape and array.ndim == 1 + per_label
            fits = (tokens if per_token else array.ndim == 1) and array.size > 0
            if not fits:
                raise EvaluationError(
                    f"{place}: {name} has shape {list(array.shape)} for {len(window.input_ids)} tokens; "
                    "check that the model was exported for this task"
                )
            if not np.isfinite(array).all():
                raise EvaluationError(
                    f"{place}: {name} holds NaN or Infinity; check the model's weights and its calibration"
                )
    missing = set(range(len(dataset.questions))).difference(window.question for window in windows)
    if missing:
        lost = dataset.questions[min(missing)].id
        raise EvaluationError(f"{dataset.name}: question {lost} has no window; cut the whole dataset")
