"""What quantkit sees in a dataset file: how many questions, how long, which labels, and what is odd about them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quantkit.tasks.squad import SquadQuestion
from quantkit.tasks.task import Dataset, Question, Task, WindowSettings
from quantkit.tasks.text_classification import TextQuestion
from quantkit.tasks.token_classification import Sentence
from quantkit.tasks.tokenizer import Tokenizer

_MOST_LABELS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """How long texts are: the shortest, the middle one, of 95 of 100 at most, the longest."""

    least: int
    median: int
    p95: int
    most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What is in a file.

    Attributes:
        dataset: its name.
        digest: that a policy and a recipe may pin.
        task: it was read for.
        questions: or texts.
        unanswered: of them without an answer or label, good for calibration only.
        repeated: of them whose texts came before.
        characters: of a question with its context, or of a text with its pair.
        tokens: of a row with its special tokens, None without a tokenizer.
        truncated: texts that are longer than a row may be, so that their end is not read; None without a tokenizer. A
            long context of a question, or a long sentence of tags, is read in several windows and is not truncated.
        labels: label → count, the most frequent first.
    """

    dataset: str
    digest: str
    task: str
    questions: int
    unanswered: int
    repeated: int
    characters: Lengths
    tokens: Lengths | None
    truncated: int | None
    labels: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def findings(dataset: Dataset, task: Task, tokenizer: Tokenizer | None, settings: WindowSettings) -> Findings:
    """Look at a dataset.

    Args:
        dataset: as the task read it.
        task: that read it.
        tokenizer: of the model it is for; without it tokens are not counted.
        settings: how long a row may be.

    Raises:
        DatasetError: a label that the model does not have.
        UsageError: rows are longer than the model has positions for.
    """
    texts = [_texts(question) for question in dataset.questions]
    labels = Counter(
        str(question.label)
        for question in dataset.questions
        if isinstance(question, TextQuestion) and question.label is not None
    )
    for question in dataset.questions:
        if isinstance(question, Sentence):
            labels.update(str(tag) for tag in question.tags or ())
    tokens, truncated = None, None
    if tokenizer is not None:
        task.cut(dataset, tokenizer, settings)
        rows = _row_lengths(texts, tokenizer)
        tokens = _lengths(rows)
        by_window = isinstance(dataset.questions[0], SquadQuestion)
        if isinstance(dataset.questions[0], Sentence):
            truncated = 0
        else:
            truncated = (
                _cut_questions(texts, tokenizer, settings)
                if by_window
                else int(np.sum(np.array(rows) > settings.max_length))
            )
    return Findings(
        dataset=dataset.name,
        digest=dataset.digest,
        task=dataset.task,
        questions=len(texts),
        unanswered=sum(_is_unanswered(question) for question in dataset.questions),
        repeated=len(texts) - len(set(texts)),
        characters=_lengths([sum(map(len, entry)) for entry in texts]),
        tokens=tokens,
        truncated=truncated,
        labels=dict(labels.most_common(_MOST_LABELS)),
    )


def _texts(question: Question) -> tuple[str, ...]:
    if isinstance(question, SquadQuestion):
        return question.question, question.context
    if isinstance(question, Sentence):
        return (" ".join(question.words),)
    assert isinstance(question, TextQuestion)
    return (question.text,) if question.text_pair is None else (question.text, question.text_pair)


def _is_unanswered(question: Question) -> bool:
    if isinstance(question, SquadQuestion):
        return not question.answers
    if isinstance(question, Sentence):
        return question.tags is None
    return isinstance(question, TextQuestion) and question.label is None


def _row_lengths(texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer) -> list[int]:
    counted = iter(tokenizer.encode_ids([text for entry in texts for text in entry]))
    return [sum(len(next(counted)) for _ in entry) + tokenizer.specials(len(entry)) for entry in texts]


def _cut_questions(texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer, settings: WindowSettings) -> int:
    asked = tokenizer.encode_ids([entry[0] for entry in texts])
    return sum(len(ids) > settings.max_query_length for ids in asked)


def _lengths(counts: Sequence[int]) -> Lengths:
    least, median, p95, most = np.quantile(counts, (0, 0.5, 0.95, 1), method="higher")
    return Lengths(least=int(least), median=int(median), p95=int(p95), most=int(most))
