"""Reranking: a cross-encoder scores the passages of a query, and the best come first.

A question is a query with its passages; each passage is a window of its own. The metric is NDCG@10, a mean over
queries; MRR@10 beside it. A query's own score (F1) is its NDCG@10, and its exact match is 1 when the passage on top is
relevant. The answer is the number of the passage on top, so an answer has changed where another passage is on top: what
comes after it is felt by NDCG@10 as far as it matters, and two passages without relevance that change places matter to
nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from quantkit.metrics.distributions import Outcome
from quantkit.metrics.of_tasks import metric_of
from quantkit.metrics.ranking import expected_gain, ndcg, random_order, ranking, reciprocal_rank
from quantkit.tasks.reranking.read import RankedQuestion, read
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
from quantkit.tasks.text_regression import one_number
from quantkit.tasks.texts import text_rows
from quantkit.tasks.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PassageWindow(Window):
    """A query with one passage in tokens.

    Attributes:
        relevance: of the passage, None where the file has none.
    """

    relevance: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ranked:
    """A query's passages: what the model gives each, how relevant each is, both in the order of the file."""

    scores: list[float]
    relevance: list[float]


class Reranking:
    """The task `reranking`; see `quantkit.tasks.task.Task`."""

    name = "reranking"
    outputs = ("logits",)
    head = "ForSequenceClassification"
    metric = metric_of("reranking")
    per_token = False
    per_label = True
    outcome: Outcome = "number"

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read rows of any form.

        Raises:
            DatasetError: the file is missing, empty, broken or of another schema, or a query has two texts.
        """
        return read(path, name, columns or {}, task=self.name)

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return one window per passage, cut to `max_length` tokens, the longer of query and passage first.

        Raises:
            UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
        """
        questions = cast(tuple[RankedQuestion, ...], dataset.questions)
        pairs = [(question.query, passage) for question in questions for passage in question.passages]
        rows = text_rows(pairs, tokenizer, settings.max_length)
        return [
            PassageWindow(
                question=index,
                input_ids=row.input_ids,
                token_type_ids=row.token_type_ids,
                truncated=row.truncated,
                relevance=None if question.relevance is None else question.relevance[at],
            )
            for index, question in enumerate(questions)
            for at, row in zip(range(len(question.passages)), rows, strict=False)
        ]

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return the relevance of each passage, nothing where the file has none."""
        del dataset
        return [
            () if row.relevance is None else ((row.relevance,),)
            for row in cast(Sequence[PassageWindow], windows)
        ]

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[Prediction]:
        """Return the passage on top of each query.

        Raises:
            EvaluationError: a number is missing, NaN or infinite, or there are several; it names the query.
        """
        predictions = []
        for question, found in zip(dataset.questions, _ranked(dataset, windows, outputs), strict=True):
            order = ranking(found.scores, found.relevance)
            gains = [found.relevance[at] for at in order]
            predictions.append(
                Prediction(
                    id=question.id,
                    group=question.group,
                    answer=str(order[0] + 1),
                    exact_match=float(gains[0] > 0),
                    f1=ndcg(gains),
                    measures=(ndcg(gains), reciprocal_rank(gains), *random_order(found.relevance)),
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
        """Return the gain, relative to the best, of a passage that is drawn by the softmax of its query's scores.

        Raises:
            EvaluationError: a number is missing, NaN or infinite, or there are several; it names the query.
        """
        return [
            expected_gain(np.array(found.scores), found.relevance)
            for found in _ranked(dataset, windows, outputs)
        ]


def _ranked(dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs]) -> list[_Ranked]:
    require_outputs(dataset, windows, outputs, Reranking.outputs, per_token=False)
    found = [_Ranked(scores=[], relevance=[]) for _ in dataset.questions]
    for window, given in zip(cast(Sequence[PassageWindow], windows), outputs, strict=True):
        if window.relevance is None:
            raise unanswered(dataset, dataset.questions[window.question], "relevance")
        found[window.question].scores.append(one_number(dataset, window, given))
        found[window.question].relevance.append(window.relevance)
    return found


TASK = Reranking()
