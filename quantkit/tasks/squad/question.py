"""A question about a text."""

from dataclasses import dataclass

from quantkit.tasks.task import Question

FORMAT = "give a file in SQuAD v1.1 format, or rows with question, context and answers"


@dataclass(frozen=True, kw_only=True, slots=True)
class SquadQuestion(Question):
    """A question; its group is the article's title.

    Attributes:
        context: the paragraph, one string shared by all its questions.
        question: as asked.
        answers: gold answers in the file's order, duplicates kept; none where the file has none
            and serves for calibration only.
    """

    context: str
    question: str
    answers: tuple[str, ...]
