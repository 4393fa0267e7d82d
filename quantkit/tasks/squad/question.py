"""A question about a text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from quantkit.tasks.task import Question

FORMAT = "give a file in SQuAD format, or rows with question, context and answers"


@dataclass(frozen=True, kw_only=True, slots=True)
class SquadQuestion(Question):
    """A question; its group is the article's title.

    Attributes:
        context: the paragraph, one string shared by all its questions.
        question: as asked.
        answers: gold answers in the file's order, duplicates kept; none where it is `impossible`, or where the file has
            none and serves for calibration only.
        impossible: the file says that the paragraph does not answer it (SQuAD 2.0).
        nullable: no answer is an answer, as its file has impossible questions; it stays so in a part without any.
    """

    context: str
    question: str
    answers: tuple[str, ...]
    impossible: bool = False
    nullable: bool = False


def as_one_version(questions: Mapping[str, SquadQuestion]) -> dict[str, SquadQuestion]:
    """Return the questions of a file, told whether no answer is an answer: where one of them is impossible.

    What transformers is told by `version_2_with_negative` the file says here.
    """
    if not any(question.impossible for question in questions.values()):
        return dict(questions)
    return {name: replace(question, nullable=True) for name, question in questions.items()}
