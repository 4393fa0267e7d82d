"""One route for each task: what a row of a request is, what a row of its reply is, and what the model is asked.

POST /answer    squad                                     question, context, no_answer -> text, score
POST /classify  text- and multi-label-classification      text, text_pair              -> labels
POST /score     text-regression                           text, text_pair              -> score
POST /rerank    reranking                                 query, passages              -> ranked
POST /tag       token-classification                      words                        -> tags
POST /embed     sentence-similarity                       text                         -> embedding
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from quantkit.api import asking, replies
from quantkit.api.replies import Answer, Label, Ranked
from quantkit.errors import UsageError
from quantkit.tasks.prepared import Prepared
from quantkit.tasks.task import Outputs, Question


class Row(BaseModel):
    """A row of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def texts(self) -> list[str]:
        """Return its texts."""
        return [value for value in self.__dict__.values() if isinstance(value, str)]

    def size(self) -> int:
        """Return how many rows it counts for."""
        return 1


class QuestionRow(Row):
    """A question about a text; a long text is read in overlapping windows."""

    question: str = Field(min_length=1)
    context: str = Field(min_length=1)
    no_answer: bool = Field(default=False, description="the empty text where no answer is the better one")


class TextRow(Row):
    """A text, or a pair of texts."""

    text: str = Field(min_length=1)
    text_pair: str | None = None


class PassagesRow(Row):
    """A query, and passages to put in order; each counts as a row."""

    query: str = Field(min_length=1)
    passages: list[str] = Field(min_length=1)

    def texts(self) -> list[str]:
        """Return its texts."""
        return [self.query, *self.passages]

    def size(self) -> int:
        """Return how many rows it counts for."""
        return len(self.passages)


class WordsRow(Row):
    """The words of a sentence."""

    words: list[str] = Field(min_length=1)

    def texts(self) -> list[str]:
        """Return the sentence."""
        return [" ".join(self.words)]


class PlainRow(Row):
    """A text."""

    text: str = Field(min_length=1)


class LabelsReply(BaseModel):
    """All labels of a text, the most probable first."""

    labels: list[Label]


class ScoreReply(BaseModel):
    """The number of a text."""

    score: float


class RankedReply(BaseModel):
    """All passages of a query by their number, the best first."""

    ranked: list[Ranked]


class TagsReply(BaseModel):
    """A tag for each word."""

    tags: list[str]


class EmbeddingReply(BaseModel):
    """The embedding of a text."""

    embedding: list[float]


@dataclass(frozen=True, kw_only=True)
class Route:
    """How a task is asked over HTTP.

    Attributes:
        path: of the request.
        row: of a request.
        reply: a row of the reply.
        ask: number and row → the question.
        read: the rows of the reply, one for each question; raises EvaluationError.
    """

    path: str
    row: type[Row]
    reply: type[Any]
    ask: Callable[[int, Any], Question]
    read: Callable[[Prepared, Sequence[Outputs]], list[Any]]

    @property
    def request_model(self) -> type[BaseModel]:
        """What a request is."""
        return create_model(
            f"{self.row.__name__}s",
            __config__=ConfigDict(extra="forbid"),
            rows=(list[self.row], Field(min_length=1)),  # type: ignore[name-defined]
        )

    @property
    def reply_model(self) -> type[BaseModel]:
        """What a reply is."""
        return create_model(
            f"{self.reply.__name__}s",
            rows=(list[self.reply], ...),  # type: ignore[name-defined]
            windows=(int, Field(description="rows of tokens that the model read")),
            truncated=(int, Field(description="rows whose end it did not read, for they are too long")),
            milliseconds=(float, ...),
        )


def _classify(ask: Callable[[int, str, str | None], Question]) -> Route:
    return Route(
        path="/classify",
        row=TextRow,
        reply=LabelsReply,
        ask=lambda number, row: ask(number, row.text, row.text_pair),
        read=lambda prepared, outputs: [
            LabelsReply(labels=found) for found in replies.labels(prepared, outputs)
        ],
    )


ROUTES = {
    asking.SPANS: Route(
        path="/answer",
        row=QuestionRow,
        reply=Answer,
        ask=lambda number, row: asking.for_answer(number, row.question, row.context, no_answer=row.no_answer),
        read=replies.answers,
    ),
    asking.LABELS: _classify(asking.for_label),
    asking.LABEL_SETS: _classify(asking.for_labels),
    asking.NUMBERS: Route(
        path="/score",
        row=TextRow,
        reply=ScoreReply,
        ask=lambda number, row: asking.for_number(number, row.text, row.text_pair),
        read=lambda prepared, outputs: [
            ScoreReply(score=found) for found in replies.numbers(prepared, outputs)
        ],
    ),
    asking.RANKINGS: Route(
        path="/rerank",
        row=PassagesRow,
        reply=RankedReply,
        ask=lambda number, row: asking.for_order(number, row.query, row.passages),
        read=lambda prepared, outputs: [
            RankedReply(ranked=found) for found in replies.rankings(prepared, outputs)
        ],
    ),
    asking.TAGS: Route(
        path="/tag",
        row=WordsRow,
        reply=TagsReply,
        ask=lambda number, row: asking.for_tags(number, row.words),
        read=lambda prepared, outputs: [TagsReply(tags=found) for found in replies.tags(prepared, outputs)],
    ),
    asking.EMBEDDINGS: Route(
        path="/embed",
        row=PlainRow,
        reply=EmbeddingReply,
        ask=lambda number, row: asking.for_embedding(number, row.text),
        read=lambda prepared, outputs: [
            EmbeddingReply(embedding=found.tolist()) for found in replies.embeddings(prepared, outputs)
        ],
    ),
}
"""Task → its route."""


def route_of(task: str) -> Route:
    """Return the route of a task.

    Raises:
        UsageError: there is none.
    """
    if task not in ROUTES:
        raise UsageError(f"{task}: has no route; this server knows {', '.join(ROUTES)}")
    return ROUTES[task]
