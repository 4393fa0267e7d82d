"""Evaluation: per-question predictions and scores of one artifact on one dataset."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from quantkit.files import digest_of
from quantkit.records.record import Record, Report

HAS_ANSWER, NO_ANSWER = "HasAns", "NoAns"
"""The parts of SQuAD 2.0, called as in the official script."""
MOST_MEASURES = 4096
UNNAMED = "F1"
"""What the score of every task was called before evaluations said the name of their metric."""
UNSCORED = "embeddings"
"""The metric of embeddings of texts without scores, 100 by definition."""


class QuestionScore(Record):
    """One question: the answer given, exact match (0 or 1), its own F1 (0 to 1), and what the metric is made of.

    Without `measures`, `f1` is all there is to measure, and they are not in the file.
    """

    id: str
    group: str
    answer: str
    exact_match: float = Field(ge=0, le=1)
    f1: float = Field(ge=0, le=1)
    measures: tuple[float, ...] = Field(default=(), max_length=MOST_MEASURES)

    @model_serializer(mode="wrap")
    def _serialized(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out measures that are not there: the files and digests of tasks without them stay what they were."""
        content: dict[str, Any] = write(self)
        if not self.measures:
            content.pop("measures", None)
        return content


class PartScore(Record):
    """A part of the questions: how many, and their F1 and exact match in percent."""

    questions: int = Field(ge=1)
    f1: float = Field(ge=0, le=100)
    exact_match: float = Field(ge=0, le=100)


class NullThreshold(Record):
    """The threshold of no answer that would have scored best, and its F1 in percent."""

    threshold: float = Field(allow_inf_nan=False)
    f1: float = Field(ge=0, le=100)


class OwnMetricRecord(Record):
    """Where a metric of the user's own came from, and what is known of it; its name is the evaluation's `metric`."""

    file: str = Field(description="the name of the source file")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the source file's bytes")
    by_row: bool = Field(
        description="whether it gave each question a score; else all have the one number it gave"
    )
    chance: float = Field(
        ge=0, le=100, description="what it gave for right answers of other questions, in percent"
    )


def scores_digest(scores: Iterable[QuestionScore]) -> str:
    """Return what `predictions_sha256` holds: the sha256 of the canonical JSON of the list of scores."""
    return digest_of([score.model_dump(mode="json") for score in scores])


def evaluation_file(dataset_name: str | None = None) -> str:
    """Return the report's file name for a dataset; without one, that of the copy of the last."""
    return f"evaluation{_suffix(dataset_name)}.json"


def predictions_file(dataset_name: str | None = None) -> str:
    """Return the file name of the scores that belong to `evaluation_file`."""
    return f"predictions{_suffix(dataset_name)}.json"


def _suffix(dataset_name: str | None) -> str:
    return "" if dataset_name is None else f"-{re.sub(r'[^A-Za-z0-9._-]+', '-', dataset_name)}"


class Evaluation(Report):
    """The task's metric and exact match in percent (unrounded), and every question's score in `scores`.

    `evaluation.json` holds everything but `scores`, which are `predictions.json` beside it
    (`predictions_sha256`).
    """

    # The first schema had no time.
    upgrades: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"quantkit/evaluation/1": dict}
    format: str = Field(default="quantkit/evaluation/2", alias="schema")
    key: str = Field(description="digest of artifact, dataset, settings and tools: what caching compares")
    artifact: str = Field(description="digest of the artifact")
    task: str
    dataset: str = Field(description="digest of the dataset")
    dataset_name: str
    metric: str = Field(
        default=UNNAMED, description="the name of the metric that `f1` is; not in the file where it is F1"
    )
    own_metric: OwnMetricRecord | None = Field(
        default=None,
        description="metric is a function of the user's own; not in the file where it is the task's",
    )
    f1: float = Field(ge=0, le=100, description="the metric of the task")
    exact_match: float = Field(ge=0, le=100)
    questions: int = Field(ge=0)
    features: int = Field(ge=0)
    truncated: int | None = Field(
        default=None, ge=0, description="questions or texts too long to be read whole; None: not counted"
    )
    parts: dict[str, PartScore] = Field(
        default={}, description="SQuAD 2.0: HasAns and NoAns, the questions with an answer and without"
    )
    best_threshold: NullThreshold | None = Field(
        default=None,
        description="SQuAD 2.0: to choose null_score_diff_threshold by, on data that no gate uses",
    )
    settings: dict[str, Any] = {}
    seconds: float = Field(ge=0)
    features_per_second: float = Field(ge=0)
    evaluated: str = Field(
        default="", description="UTC time it was made, as 2026-01-31T12:00:00Z; empty: unknown"
    )
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}
    predictions_sha256: str = Field(description="sha256 of the canonical JSON of the list of scores")
    scores: tuple[QuestionScore, ...] = Field(default=(), exclude=True, repr=False)

    @property
    def by_task(self) -> bool:
        """Whether the metric is one of its task's, which its name then says: not the user's own, and not of nothing."""
        return self.own_metric is None and self.metric != UNSCORED

    @property
    def truncated_words(self) -> str:
        """How many were too long to be read whole, as `41 of 1,000`; empty where none were, or nobody counted."""
        return f"{self.truncated:,} of {self.questions:,}" if self.truncated else ""

    @model_serializer(mode="wrap")
    def _serialized(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = write(self)
        if self.metric == UNNAMED:
            content.pop("metric", None)
        if self.own_metric is None:
            content.pop("own_metric", None)
        return content
