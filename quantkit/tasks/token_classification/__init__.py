"""Token classification: a tag for each word, scored by entities (NER); `quantkit.metrics.entities` has the rules.

An answer is the sentence's entities, such as `PER 0-1, LOC 4`, by words. A sentence is changed when they are others.
Its own F1 is that of its entities, 1 where there are none and none were found; exact match is 1 when every tag is
right.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from quantkit.errors import EvaluationError
from quantkit.metrics.distributions import Outcome, softmax
from quantkit.metrics.entities import OUTSIDE, Entity, counts, entities, have_prefixes
from quantkit.metrics.of_tasks import metric_of
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
from quantkit.tasks.token_classification.cutting import cut
from quantkit.tasks.token_classification.question import UNLABELLED, Sentence, SentenceWindow
from quantkit.tasks.token_classification.read import read_sentences
from quantkit.tasks.tokenizer import Tokenizer

__all__ = ["TASK", "Sentence", "SentenceWindow", "TokenClassification", "tags_of"]


class TokenClassification:
    """The task `token-classification`; see `quantkit.tasks.task.Task`."""

    name = "token-classification"
    outputs = ("logits",)
    head = "ForTokenClassification"
    metric = metric_of("token-classification")
    per_token = True
    per_label = True
    outcome: Outcome = "choice"

    def read(self, path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
        """Read CoNLL or rows; see `quantkit.tasks.token_classification.read`."""
        return read_sentences(path, name, self.name, columns)

    def cut(self, dataset: Dataset, tokenizer: Tokenizer, settings: WindowSettings) -> list[Window]:
        """Return the windows of every sentence; see `quantkit.tasks.token_classification.cutting`."""
        return cut(dataset, tokenizer, settings)

    def right(self, dataset: Dataset, windows: Sequence[Window]) -> list[Right]:
        """Return for each window token * labels + label of every word that has its first token in it."""
        del dataset
        return [
            (
                tuple(
                    int(place) * len(row.labels) + int(row.gold[word])
                    for word, place in zip(row.words, row.places, strict=True)
                    if row.gold[word] != UNLABELLED
                ),
            )
            for row in cast(Sequence[SentenceWindow], windows)
        ]

    def predict(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[Prediction]:
        """Return the entities of each sentence: of every word the label with the highest logit.

        Raises:
            EvaluationError: logits are missing, NaN or infinite, or of another number of labels.
            DatasetError: a sentence has no tags.
        """
        rows = self._checked(dataset, windows, outputs)
        found = tags_of(rows, outputs)
        by_question = {row.question: row for row in rows}
        return [_scored(dataset, by_question[index], found[index]) for index in sorted(found)]

    def expected_scores(
        self,
        dataset: Dataset,
        windows: Sequence[Window],
        outputs: Sequence[Outputs],
        settings: WindowSettings,  # noqa: ARG002  (the protocol's; nothing here depends on it)
    ) -> list[float]:
        """Return the mean probability of the right label over a sentence's words in entities; without any, of all.

        Raises:
            EvaluationError: logits are missing, NaN or infinite, or of another number of labels.
            DatasetError: a sentence has no tags.
        """
        rows = self._checked(dataset, windows, outputs)
        inside, all_words = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
        for row, (logits,) in zip(rows, outputs, strict=True):
            all_words[row.question] += []
            for word, place in zip(row.words, row.places, strict=True):
                gold = int(row.gold[word])
                likely = float(softmax(logits[place])[gold])
                all_words[row.question].append(likely)
                if row.labels[gold] != OUTSIDE:
                    inside[row.question].append(likely)
        return [_mean(inside[index] or all_words[index]) for index in sorted(all_words)]

    def _checked(
        self, dataset: Dataset, windows: Sequence[Window], outputs: Sequence[Outputs]
    ) -> Sequence[SentenceWindow]:
        require_outputs(
            dataset, windows, outputs, self.outputs, per_token=self.per_token, per_label=self.per_label
        )
        rows = cast(Sequence[SentenceWindow], windows)
        for row, (logits,) in zip(rows, outputs, strict=True):
            question = dataset.questions[row.question]
            if logits.shape[1] != len(row.labels):
                raise EvaluationError(
                    f"the model gives {logits.shape[1]} numbers for a token of {question.id} and config.json names "
                    f"{len(row.labels)} labels; export the checkpoint again with its own config.json"
                )
            if UNLABELLED in row.gold:
                raise unanswered(dataset, question, "tags")
        return rows


def tags_of(rows: Sequence[SentenceWindow], outputs: Sequence[Outputs]) -> dict[int, list[str]]:
    """Return for each sentence, by its index, the label with the highest logit of every word."""
    found: dict[int, list[str]] = {}
    for row, (logits,) in zip(rows, outputs, strict=True):
        tags = found.setdefault(row.question, [OUTSIDE] * len(row.gold))
        for word, best in zip(row.words, np.argmax(logits[row.places], axis=1), strict=True):
            tags[word] = row.labels[best]
    return found


def _scored(dataset: Dataset, row: SentenceWindow, tags: Sequence[str]) -> Prediction:
    question = dataset.questions[row.question]
    prefixes = have_prefixes(row.labels)
    wanted = [row.labels[label] for label in row.gold]
    gold, found = (entities(named, prefixes=prefixes) for named in (wanted, tags))
    right, wrong, missed = counts(gold, found)
    whole = 2 * right + wrong + missed
    return Prediction(
        id=question.id,
        group=question.group,
        answer=", ".join(_words(entity) for entity in found),
        exact_match=float(list(tags) == wanted),
        f1=2 * right / whole if whole else 1.0,
        measures=(float(right), float(wrong), float(missed)),
    )


def _words(entity: Entity) -> str:
    kind, begin, end = entity
    return f"{kind} {begin}" if begin == end else f"{kind} {begin}-{end}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


TASK = TokenClassification()
