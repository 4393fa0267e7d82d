"""Sentence similarity: an embedding for each text, and for two texts the cosine of their embeddings.

A file has rows, such as lines of JSON:

    {"id": "1", "sentence1": "...", "sentence2": "...", "score": 3.8, "group": "..."}

A pair becomes two windows, one for each text. The score says how much alike the texts are, on any scale: only the order
of the pairs counts. A file without scores, of pairs or texts alone, is for calibration, and for a gate that compares
embeddings with FP32's and nothing else: its metric is `embeddings`, 100 by definition.

The metric is Spearman's correlation of the cosines with the scores. A pair's own score tells how near its two ranks
are: exp(-d²/2) of their distance d, both sides brought to standard deviation 1, in tenths; a pair has changed where
that differs. Its exact match is 1 where d is below 0.5. Its answer is the two embeddings
(`quantkit.metrics.embeddings`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from quantkit.metrics.distributions import Outcome
from quantkit.metrics.embeddings import cosine, packed
from quantkit.metrics.of_tasks import metric_of
from quantkit.metrics.rank_correlation import ranks
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
from quantkit.tasks.text_regression import NEAR, NumberQuestion, read_numbers
from quantkit.tasks.texts import text_rows
from quantkit.tasks.tokenizer import Tokenizer

_FORMAT = "give rows with sentence1, sentence2 and score, or texts alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class SimilarityQuestion(NumberQuestion):
    """A text, or two and a number that says how much alike they are."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that get an embedding, one or two."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)


def is_scored(dataset: Dataset) -> bool:
    """Return whether a dataset says of any texts how much alike they are."""
    return any(
        question.score is not None for question in cast(tuple[SimilarityQuestion, ...], dataset.questions)
    )


class SentenceSimilarity:
    """The task `sentence-similarity`; see `quantkit.tasks.task.Task`."""

    name = "sentence-similarity"
    outputs = ("sentence_embedding",)
    head = "Model"
    metric = metric_of("sentence-similarity")
    per_token = False
    per_label = False
    outcome: Outcome = "direction"

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read rows of any form.

        Raises:
            DatasetError: the file is missing, empty, broken, of another schema, or has an id twice.
        """
        return read_numbers(path, name, columns, advice=_FORMAT, task=self.name, kind=SimilarityQuestion)

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return one window for each text of a question, cut to what the model reads.

        Raises:
            UsageError: `max_length` leaves no room for text, or is more than the model has positions for.
        """
        questions = cast(tuple[SimilarityQuestion, ...], dataset.questions)
        texts = [(index, text) for index, question in enumerate(questions) for text in question.texts]
        rows = text_rows([(text, None) for _, text in texts], tokenizer, settings.max_length)
        return [
            Window(
                question=index,
                input_ids=row.input_ids,
                token_type_ids=row.token_type_ids,
                truncated=row.truncated,
            )
            for (index, _), row in zip(texts, rows, strict=True)
        ]

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return nothing: no number of an embedding is right by itself."""
        del dataset
        return [((),) for _ in windows]

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[Prediction]:
        """Return the embeddings of each question's texts, and of pairs with scores their cosine.

        Raises:
            EvaluationError: an embedding is missing, NaN or infinite; it names the pair.
            DatasetError: some questions have a score, and one has none, or one text.
        """
        found = _embeddings(dataset, windows, outputs)
        if not is_scored(dataset):
            return [
                Prediction(
                    id=question.id, group=question.group, answer=_packed(texts), exact_match=1.0, f1=1.0
                )
                for question, texts in zip(dataset.questions, found, strict=True)
            ]
        cosines, scores = _compared(dataset, found)
        apart = np.abs(np.subtract(*_standard_ranks(cosines, scores)))
        return [
            Prediction(
                id=question.id,
                group=question.group,
                answer=_packed(embeddings),
                exact_match=float(distance < NEAR),
                f1=round(math.exp(-(distance**2) / 2), 1),
                measures=(cosines[place], scores[place]),
            )
            for place, (question, embeddings, distance) in enumerate(
                zip(dataset.questions, found, apart.tolist(), strict=True)
            )
        ]

    def expected_scores(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[float]:
        """Return how near each pair's two ranks are, unrounded; without scores 1.

        Spearman's correlation is 1 less the mean of d²/2, and each pair's score exp(-d²/2).

        Raises:
            EvaluationError: an embedding is missing, NaN or infinite; it names the pair.
            DatasetError: some questions have a score, and one has none, or one text.
        """
        embeddings = _embeddings(dataset, windows, outputs)
        if not is_scored(dataset):
            return [1.0] * len(dataset.questions)
        apart = np.subtract(*_standard_ranks(*_compared(dataset, embeddings)))
        found: list[float] = np.exp(-(apart**2) / 2).tolist()
        return found


def _embeddings(
    dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs]
) -> list[list[NDArray[np.float32]]]:
    """Return the embeddings of each question's texts."""
    require_outputs(dataset, windows, outputs, SentenceSimilarity.outputs, per_token=False)
    found: list[list[NDArray[np.float32]]] = [[] for _ in dataset.questions]
    for window, (embedding,) in zip(windows, outputs, strict=True):
        found[window.question].append(embedding)
    return found


def _packed(embeddings: Sequence[NDArray[np.float32]]) -> str:
    return " ".join(packed(embedding) for embedding in embeddings)


def _compared(
    dataset: Dataset, embeddings: Sequence[Sequence[NDArray[np.float32]]]
) -> tuple[list[float], list[float]]:
    """Return the cosine of each pair, and its score."""
    cosines, scores = [], []
    for question, pair in zip(
        cast(tuple[SimilarityQuestion, ...], dataset.questions), embeddings, strict=True
    ):
        if len(pair) < 2 or question.score is None:
            raise unanswered(dataset, question, "second text" if len(pair) < 2 else "score")
        cosines.append(cosine(*pair))
        scores.append(question.score)
    return cosines, scores


def _standard_ranks(cosines: list[float], scores: list[float]) -> tuple[NDArray[np.float64], ...]:
    """Return both sides' ranks, of mean 0 and standard deviation 1; zeros where all are the same."""
    both = [ranks(np.array(values, np.float64)) for values in (cosines, scores)]
    return tuple((values - values.mean()) / (values.std() or 1.0) for values in both)


TASK = SentenceSimilarity()
