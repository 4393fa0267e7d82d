"""What a model says, for people: from the outputs of each window to an answer, labels, a number, an order, tags.

    asked(task, questions) -> Dataset ──Reader.prepare──> Prepared ──run──> outputs ──answers, labels, …──> replies

`quantkit.api.model` runs the windows of one call; a server may run those of many calls together. Both read the outputs
here, so that they say the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from quantkit.metrics.distributions import softmax
from quantkit.metrics.ranking import ranking
from quantkit.tasks import Dataset
from quantkit.tasks.multi_label import sigmoid
from quantkit.tasks.prepared import Prepared
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import Outputs, Question, require_outputs
from quantkit.tasks.token_classification import SentenceWindow, tags_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A part of a text.

    Attributes:
        text: as it stands there; empty when no part of it can be an answer.
        score: the share of the model's own probability that agrees with it, 0 to 1.
    """

    text: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A label of a text.

    Attributes:
        name: from the model's config.json, or its index.
        score: its probability, 0 to 1.
    """

    name: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A passage in its place.

    Attributes:
        passage: which it is of those that were given, from 0.
        score: what the model gives it, on its own scale; higher is better.
    """

    passage: int
    score: float


def asked(task: str, questions: Sequence[Question]) -> Dataset:
    """Return questions that somebody asks now as a dataset of their task."""
    return Dataset(
        name="asked", path=Path("asked"), digest="", source="", task=task, questions=tuple(questions)
    )


def answers(prepared: Prepared, outputs: Sequence[Outputs]) -> list[Answer]:
    """Return the answer of each question.

    Raises:
        EvaluationError: a logit is NaN or infinite.
    """
    texts = [prediction.answer for prediction in prepared.predict(outputs)]
    questions = cast(tuple[SquadQuestion, ...], prepared.dataset.questions)
    # The model's own probability of its answer is the score it may expect were its answer the right one.
    said = [replace(question, answers=(text,)) for question, text in zip(questions, texts, strict=True)]
    agreed = replace(prepared, dataset=replace(prepared.dataset, questions=tuple(said)))
    scores = agreed.expected_scores(outputs)
    return [Answer(text=text, score=score) for text, score in zip(texts, scores, strict=True)]


def labels(prepared: Prepared, outputs: Sequence[Outputs]) -> list[list[Label]]:
    """Return all labels of each text, the most probable first; raises what `answers` raises."""
    prepared.predict(outputs)  # refuses what is no number
    return [_labels(prepared, logits) for (logits,) in outputs]


def numbers(prepared: Prepared, outputs: Sequence[Outputs]) -> list[float]:
    """Return the number of each text; raises what `answers` raises."""
    prepared.predict(outputs)  # refuses what is no number
    return [float(logits[0]) for (logits,) in outputs]


def rankings(prepared: Prepared, outputs: Sequence[Outputs]) -> list[list[Ranked]]:
    """Return all passages of each query, the best first, of equal ones the first; raises what `answers` raises."""
    prepared.predict(outputs)  # refuses what is no number
    scores: list[list[float]] = [[] for _ in prepared.dataset.questions]
    for window, (logits,) in zip(prepared.rows, outputs, strict=True):
        scores[window.question].append(float(logits[0]))
    return [[Ranked(passage=at, score=of[at]) for at in ranking(of, tuple(0.0 for _ in of))] for of in scores]


def tags(prepared: Prepared, outputs: Sequence[Outputs]) -> list[list[str]]:
    """Return the tags of the words of each sentence; raises what `answers` raises."""
    prepared.predict(outputs)  # refuses what is no number
    return list(tags_of(cast(Sequence[SentenceWindow], prepared.rows), outputs).values())


def embeddings(prepared: Prepared, outputs: Sequence[Outputs]) -> NDArray[np.float32]:
    """Return the embedding of each text, float32 [texts, hidden]; raises what `answers` raises."""
    names = prepared.reader.task.outputs
    require_outputs(prepared.dataset, prepared.rows, outputs, names, per_token=False)
    return np.stack([embedding for (embedding,) in outputs])


def _labels(prepared: Prepared, logits: NDArray[Any]) -> list[Label]:
    names = prepared.reader.tokenizer.labels
    shares = softmax(logits) if prepared.reader.task.outcome == "choice" else sigmoid(logits)
    ranked = sorted(range(len(shares)), key=lambda index: -shares[index])
    return [
        Label(name=names[index] if index < len(names) else str(index), score=float(shares[index]))
        for index in ranked
    ]
