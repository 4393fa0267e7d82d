"""What quantkit sees in a dataset file: how many questions, how long, which labels, and what is odd about them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from quantkit.tasks.rows.contents import Content, content_of
from quantkit.tasks.squad import SquadQuestion
from quantkit.tasks.task import Dataset, Task, WindowSettings
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
        impossible: of them that the file calls impossible, so that no answer is the right one (SQuAD 2.0).
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
    impossible: int
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
    contents = [content_of(question) for question in dataset.questions]
    texts = [row for content in contents for row in content.rows]
    labels = Counter(label for content in contents for label in content.labels)
    tokens, truncated = None, None
    if tokenizer is not None:
        task.cut(dataset, tokenizer, settings)
        rows = _row_lengths(texts, tokenizer)
        tokens = _lengths(rows)
        by_window = isinstance(dataset.questions[0], SquadQuestion)
        if isinstance(dataset.questions[0], Sentence):
            truncated = 0
        elif by_window:
            truncated = _cut_questions(texts, tokenizer, settings)
        else:
            truncated = _cut_contents(contents, rows, settings.max_length)
    return Findings(
        dataset=dataset.name,
        digest=dataset.digest,
        task=dataset.task,
        questions=len(contents),
        unanswered=sum(not content.answered for content in contents),
        impossible=sum(
            isinstance(question, SquadQuestion) and question.impossible for question in dataset.questions
        ),
        repeated=len(contents) - len({content.rows for content in contents}),
        characters=_lengths([sum(map(len, entry)) for entry in texts]),
        tokens=tokens,
        truncated=truncated,
        labels=dict(labels.most_common(_MOST_LABELS)),
    )


def _row_lengths(texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer) -> list[int]:
    counted = iter(tokenizer.encode_ids([text for entry in texts for text in entry]))
    return [sum(len(next(counted)) for _ in entry) + tokenizer.specials(len(entry)) for entry in texts]


def _cut_contents(contents: Sequence[Content], lengths: Sequence[int], most: int) -> int:
    """Return how many questions have a row of more than `most` tokens."""
    each = iter(lengths)
    return sum(max(next(each) for _ in content.rows) > most for content in contents)


def _cut_questions(texts: Sequence[tuple[str, ...]], tokenizer: Tokenizer, settings: WindowSettings) -> int:
    asked = tokenizer.encode_ids([entry[0] for entry in texts])
    return sum(len(ids) > settings.max_query_length for ids in asked)


def _lengths(counts: Sequence[int]) -> Lengths:
    least, median, p95, most = np.quantile(counts, (0, 0.5, 0.95, 1), method="higher")
    return Lengths(least=int(least), median=int(median), p95=int(p95), most=int(most))
