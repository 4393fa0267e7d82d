"""What an own metric is given: a model's answers and the right ones, as plain Python values of each task."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from quantkit.metrics.entities import entities, have_prefixes
from quantkit.metrics.own import Answers
from quantkit.records import QuestionScore
from quantkit.tasks.multi_label.read import LabelSetQuestion
from quantkit.tasks.reranking.read import RankedQuestion
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import Dataset, Question, unanswered
from quantkit.tasks.text_classification import TextQuestion
from quantkit.tasks.text_regression import NumberQuestion
from quantkit.tasks.token_classification.question import Sentence

Row = tuple[Any, Any, Any]
"""The model's answer, the right one, and the right one as a model would answer it."""


def values_of(dataset: Dataset, scores: Sequence[QuestionScore], labels: Sequence[str]) -> Answers:
    """Return what the function of an own metric is given.

    Args:
        dataset: of the questions that were answered.
        scores: of each question, in its order.
        labels: the model's label names, by index; empty where it has none.

    Raises:
        DatasetError: a question has no right answer.
    """
    row = _ROWS[dataset.task]
    rows = []
    for question, score in zip(dataset.questions, scores, strict=True):
        found = row(question, score, labels)
        if found is None:
            raise unanswered(dataset, question, "right answer")
        rows.append(found)
    predictions, references, right = zip(*rows, strict=True)
    return Answers(predictions=predictions, references=references, right=right)


def _named(label: str | int, labels: Sequence[str]) -> str:
    """Return a label's name, which files may give as a number."""
    # Without names of its own a model's labels are numbers, and transformers' LABEL_1 is the second.
    text = str(label) if labels else str(label).removeprefix("LABEL_")
    if text not in labels and text.isdecimal() and int(text) < len(labels):
        return labels[int(text)]
    return text


def _squad(question: Question, score: QuestionScore, labels: Sequence[str]) -> Row | None:
    del labels
    asked = cast(SquadQuestion, question)
    right = list(asked.answers) or ([""] if asked.impossible else [])
    return (score.answer, right, right[0]) if right else None


def _label(question: Question, score: QuestionScore, labels: Sequence[str]) -> Row | None:
    label = cast(TextQuestion, question).label
    return None if label is None else (score.answer, _named(label, labels), _named(label, labels))


def _labels(question: Question, score: QuestionScore, labels: Sequence[str]) -> Row | None:
    wanted = cast(LabelSetQuestion, question).labels
    if wanted is None:
        return None
    # The measures are flags of each label: right, wrong, missed.
    flags = [score.measures[at : at + 3] for at in range(0, len(score.measures), 3)]
    given = [_named(at, labels) for at, (right, wrong, _) in enumerate(flags) if right or wrong]
    named = [_named(at, labels) for at, (right, _, missed) in enumerate(flags) if right or missed]
    return given, named, named


def _number(question: Question, score: QuestionScore, labels: Sequence[str]) -> Row | None:
    del labels
    number = cast(NumberQuestion, question).score
    return None if number is None else (score.measures[0], float(number), float(number))


def _top(question: Question, score: QuestionScore, labels: Sequence[str]) -> Row | None:
    del labels
    relevance = cast(RankedQuestion, question).relevance
    if relevance is None:
        return None
    return int(score.answer) - 1, list(relevance), relevance.index(max(relevance))


def _entities(question: Question, score: QuestionScore, labels: Sequence[str]) -> Row | None:
    tags = cast(Sentence, question).tags
    if tags is None:
        return None
    named = [_named(tag, labels) for tag in tags]
    spans = entities(named, prefixes=have_prefixes(labels))
    right = [f"{kind} {first}" if first == last else f"{kind} {first}-{last}" for kind, first, last in spans]
    return [one for one in score.answer.split(", ") if one], right, right


_ROWS: dict[str, Callable[[Question, QuestionScore, Sequence[str]], Row | None]] = {
    "squad": _squad,
    "text-classification": _label,
    "multi-label-classification": _labels,
    "text-regression": _number,
    "reranking": _top,
    "token-classification": _entities,
    "sentence-similarity": _number,
}
