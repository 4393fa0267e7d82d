"""SQuAD JSON, v1.1 or 2.0: articles with paragraphs with questions with answers; or one question a row (`rows`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from quantkit.errors import DatasetError
from quantkit.files import sha256_bytes
from quantkit.tasks.reading import explain, parse, read_file
from quantkit.tasks.rows.formats import is_by_column, is_one_object, read_rows, unpacked
from quantkit.tasks.squad.question import FORMAT, SquadQuestion, as_one_version
from quantkit.tasks.squad.rows import asked_in_rows
from quantkit.tasks.task import Dataset


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="ignore")


class _Answer(_Strict):
    # `answer_start` is not read: scoring compares texts, and published files exist whose starts are off.
    text: str


class _Question(_Strict):
    id: str
    question: str
    answers: list[_Answer]
    is_impossible: bool = False


class _Paragraph(_Strict):
    context: str
    qas: list[_Question]


class _Article(_Strict):
    title: str
    paragraphs: list[_Paragraph]


class _File(_Strict):
    data: list[_Article]


def read_squad(path: Path, name: str, columns: Mapping[str, str] | None = None) -> Dataset:
    """Read a file in SQuAD format, or one of any form with a question in each row.

    Args:
        path: the file.
        name: the dataset's name.
        columns: of rows: `question`, `context`, ... → the column that holds it.

    Raises:
        DatasetError: the file is missing, empty, truncated, of another schema, has no questions, a question
            without answers that it does not call impossible, or an id twice. The line names the place in the file.
    """
    content = read_file(path)
    inside, _ = unpacked(path, content)
    if columns or not is_one_object(inside):
        questions = asked_in_rows(read_rows(path, content, FORMAT), path, columns or {})
    else:
        value = parse(path, inside, FORMAT)
        if _is_nested(value):
            questions = _nested(path, value)
        else:
            questions = asked_in_rows(read_rows(path, content, FORMAT), path, {})
    if not questions:
        raise DatasetError(f"{path}: has no questions; {FORMAT}")
    digest = sha256_bytes(content)
    asked = tuple(as_one_version(questions).values())
    return Dataset(name=name, path=path, digest=digest, source=digest, task="squad", questions=asked)


def _is_nested(value: dict[str, Any]) -> bool:
    """Return whether a value is meant to be SQuAD's own JSON: all that is not clearly rows is."""
    if "data" not in value and ("rows" in value or is_by_column(value)):
        return False
    data = value.get("data")
    is_rows = isinstance(data, list) and bool(data) and isinstance(data[0], dict) and "question" in data[0]
    return not is_rows


def _nested(path: Path, value: Any) -> dict[str, SquadQuestion]:
    try:
        parsed = _File.model_validate(value)
    except pydantic.ValidationError as error:
        raise DatasetError(f"{path}: {explain(error)}; {FORMAT}") from error
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
                    impossible=question.is_impossible,
                )
    return questions


def _check_question(path: Path, place: str, question: _Question) -> None:
    if not question.id:
        raise DatasetError(f"{path}: {place}.id: is empty; give every question its own")
    if not question.answers and not question.is_impossible:
        raise DatasetError(
            f"{path}: {place}: question {question.id!r} has no answers; "
            "say is_impossible: true if the text does not answer it (SQuAD 2.0), or leave it out"
        )
    if question.answers and question.is_impossible:
        raise DatasetError(
            f"{path}: {place}: question {question.id!r} is_impossible and has answers; keep one of them"
        )
