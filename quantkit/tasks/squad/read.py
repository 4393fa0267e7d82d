"""SQuAD v1.1 JSON: articles with paragraphs with questions with answers."""

from dataclasses import dataclass
from pathlib import Path

import pydantic

from quantkit.errors import DatasetError
from quantkit.files import sha256_bytes
from quantkit.tasks.reading import explain, parse, read_file
from quantkit.tasks.task import Dataset, Question

_FORMAT = "give a file in SQuAD v1.1 format"


@dataclass(frozen=True, kw_only=True, slots=True)
class SquadQuestion(Question):
    """A question; its group is the article's title.

    Attributes:
        context: the paragraph, one string shared by all its questions.
        question: as asked.
        answers: gold answers in the file's order, at least one, duplicates kept.
    """

    context: str
    question: str
    answers: tuple[str, ...]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="ignore")


class _Answer(_Strict):
    # `answer_start` is not read: scoring compares texts, and published files exist whose starts are off.
    text: str


class _Question(_Strict):
    id: str
    question: str
    answers: list[_Answer]


class _Paragraph(_Strict):
    context: str
    qas: list[_Question]


class _Article(_Strict):
    title: str
    paragraphs: list[_Paragraph]


class _File(_Strict):
    data: list[_Article]


def read_squad(path: Path, name: str) -> Dataset:
    """Read a file in SQuAD v1.1 format.

    Args:
        path: the file.
        name: the dataset's name.

    Raises:
        DatasetError: the file is missing, empty, truncated, of another schema, has no questions, a question
            without answers, or an id twice. The line names the place in the file.
    """
    content = read_file(path)
    try:
        parsed = _File.model_validate(parse(path, content, _FORMAT))
    except pydantic.ValidationError as error:
        raise DatasetError(f"{path}: {explain(error)}; {_FORMAT}") from error
    questions: dict[str, SquadQuestion] = {}
    for number, article in enumerate(parsed.data):
        for row, paragraph in enumerate(article.paragraphs):
            for column, question in enumerate(paragraph.qas):
                place = f"data[{number}].paragraphs[{row}].qas[{column}]"
                _check_question(path, place, question)
                if question.id in questions:
                    raise DatasetError(
                        f"{path}: {place}: id {question.id!r} was used before; give every question its own"
                    )
                questions[question.id] = SquadQuestion(
                    id=question.id,
                    group=article.title,
                    context=paragraph.context,
                    question=question.question,
                    answers=tuple(answer.text for answer in question.answers),
                )
    if not questions:
        raise DatasetError(f"{path}: has no questions; {_FORMAT}")
    digest = sha256_bytes(content)
    return Dataset(
        name=name, path=path, digest=digest, source=digest, task="squad", questions=tuple(questions.values())
    )


def _check_question(path: Path, place: str, question: _Question) -> None:
    if not question.id:
        raise DatasetError(f"{path}: {place}.id: is empty; give every question its own")
    if not question.answers:
        raise DatasetError(
            f"{path}: {place}: question {question.id!r} has no answers; "
            "leave unanswerable questions (SQuAD 2.0) out"
        )
