"""What a question of any task has in it: its texts, row by row, and its labels in words."""

from dataclasses import dataclass

from quantkit.tasks.multi_label.read import LabelSetQuestion
from quantkit.tasks.reranking.read import RankedQuestion
from quantkit.tasks.sentence_similarity import SimilarityQuestion
from quantkit.tasks.squad import SquadQuestion
from quantkit.tasks.task import Question
from quantkit.tasks.text_classification import TextQuestion
from quantkit.tasks.text_regression import NumberQuestion
from quantkit.tasks.texts import PairQuestion
from quantkit.tasks.token_classification import Sentence


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What is in a question.

    Attributes:
        rows: the texts of each row for the model, one or two: one row but for a query with several passages.
        answered: somebody gave its answer, label, labels, number or relevance.
        labels: names of its labels, for counting; empty where a task has none that repeat.
    """

    rows: tuple[tuple[str, ...], ...]
    answered: bool
    labels: tuple[str, ...]


def content_of(question: Question) -> Content:
    """Return what is in a question of any task."""
    if isinstance(question, SquadQuestion):
        return Content(
            rows=((question.question, question.context),),
            answered=bool(question.answers) or question.impossible,
            labels=(),
        )
    if isinstance(question, RankedQuestion):
        rows = tuple((question.query, passage) for passage in question.passages)
        relevance = question.relevance or ()
        return Content(
            rows=rows,
            answered=question.relevance is not None,
            labels=tuple(f"relevance {value:g}" for value in relevance),
        )
    if isinstance(question, SimilarityQuestion):
        return Content(
            rows=tuple((text,) for text in question.texts), answered=question.score is not None, labels=()
        )
    if isinstance(question, Sentence):
        return Content(
            rows=((" ".join(question.words),),),
            answered=question.tags is not None,
            labels=tuple(str(tag) for tag in question.tags or ()),
        )
    assert isinstance(question, PairQuestion)
    labels: tuple[str, ...] = ()
    answered = False
    if isinstance(question, TextQuestion):
        answered = question.label is not None
        labels = (str(question.label),) if answered else ()
    elif isinstance(question, LabelSetQuestion):
        answered = question.labels is not None
        labels = tuple(str(label) for label in question.labels or ())
    elif isinstance(question, NumberQuestion):
        answered = question.score is not None
    texts = (question.text,) if question.text_pair is None else (question.text, question.text_pair)
    return Content(rows=(texts,), answered=answered, labels=labels)
