"""What is asked of a model, as its task's questions: no label is known, and the reply does not depend on one."""

from collections.abc import Sequence

from quantkit.tasks.multi_label.read import LabelSetQuestion
from quantkit.tasks.reranking.read import RankedQuestion
from quantkit.tasks.sentence_similarity import SimilarityQuestion
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.task import Question
from quantkit.tasks.text_classification import TextQuestion
from quantkit.tasks.text_regression import NumberQuestion
from quantkit.tasks.token_classification import Sentence

SPANS = "squad"
LABELS = "text-classification"
LABEL_SETS = "multi-label-classification"
NUMBERS = "text-regression"
RANKINGS = "reranking"
EMBEDDINGS = "sentence-similarity"
TAGS = "token-classification"


def for_answer(number: int, question: str, context: str, *, no_answer: bool) -> Question:
    """Return a question about a text; `no_answer` lets the empty text be its answer."""
    return SquadQuestion(
        id=str(number), group="", question=question, context=context, answers=("",), nullable=no_answer
    )


def for_label(number: int, text: str, pair: str | None) -> Question:
    """Return a text, or a pair, that gets one label."""
    return TextQuestion(id=str(number), group=str(number), text=text, text_pair=pair, label=0)


def for_labels(number: int, text: str, pair: str | None) -> Question:
    """Return a text, or a pair, that gets any number of labels."""
    return LabelSetQuestion(id=str(number), group=str(number), text=text, text_pair=pair, labels=())


def for_number(number: int, text: str, pair: str | None) -> Question:
    """Return a text, or a pair, that gets a number."""
    return NumberQuestion(id=str(number), group=str(number), text=text, text_pair=pair, score=0.0)


def for_order(number: int, query: str, passages: Sequence[str]) -> Question:
    """Return a query whose passages are put in order."""
    none = tuple(0.0 for _ in passages)
    return RankedQuestion(
        id=str(number), group=str(number), query=query, passages=tuple(passages), relevance=none
    )


def for_tags(number: int, words: Sequence[str]) -> Question:
    """Return a sentence whose words get tags."""
    return Sentence(id=str(number), group=str(number), words=tuple(words), tags=(0,) * len(words))


def for_embedding(number: int, text: str) -> Question:
    """Return a text that gets an embedding."""
    return SimilarityQuestion(id=str(number), group=str(number), text=text, text_pair=None, score=None)
