"""Questions in rows, as `datasets` gives SQuAD and as people keep their own in CSV files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantkit.errors import DatasetError
from quantkit.strict_json import parse_json
from quantkit.tasks.rows.columns import Meaning, called, made_id, text_id
from quantkit.tasks.rows.formats import Row, Rows
from quantkit.tasks.squad.question import FORMAT, SquadQuestion

_SWITCH = {"true": True, "false": False, "1": True, "0": False}
MEANINGS = (
    Meaning(name="question", known=("question", "query"), needed=True),
    Meaning(name="context", known=("context", "passage", "paragraph"), needed=True),
    Meaning(name="answers", known=("answers", "answer", "answer_text")),
    Meaning(name="is_impossible", known=("is_impossible",)),
    Meaning(name="id", known=("id", "qid", "idx")),
    Meaning(name="group", known=("title", "group")),
)


def asked_in_rows(rows: Rows, path: Path, asked: Mapping[str, str]) -> dict[str, SquadQuestion]:
    """Return id → question.

    Args:
        rows: of the file.
        path: the file, for messages.
        asked: meaning → column, as the user says.

    Raises:
        DatasetError: a column is missing, a row has no text where one is needed, or an id comes twice.
    """
    named = called(path, rows.columns, MEANINGS, asked)
    found: dict[str, SquadQuestion] = {}
    for row in rows.rows:
        question = question_of(row, path, named, found)
        found[question.id] = question
    return found


def question_of(
    row: Row, path: Path, named: Mapping[str, str], taken: Mapping[str, SquadQuestion]
) -> SquadQuestion:
    """Return the question of one row; see `asked_in_rows`."""
    texts = {}
    for name in ("question", "context"):
        text = row.values.get(named[name])
        if not isinstance(text, str):
            raise DatasetError(f"{path}: {row.place}: {named[name]} is {text!r}, not text; {FORMAT}")
        texts[name] = text
    impossible = _impossible(row, path, named)
    answers = () if impossible or "answers" not in named else _answers(row, path, named["answers"])
    name = text_id(row, path, named, taken) or made_id([*texts.values(), answers], taken)
    group = row.values.get(named.get("group", ""))
    return SquadQuestion(
        id=name,
        group=group if isinstance(group, str) and group else name,
        answers=answers,
        impossible=impossible,
        question=texts["question"],
        context=texts["context"],
    )


def _impossible(row: Row, path: Path, named: Mapping[str, str]) -> bool:
    """Tell whether a row says that its text holds no answer: by a column, or as `datasets` does, by an empty `text`."""
    answers = row.values.get(named.get("answers", ""))
    if isinstance(answers, dict) and answers.get("text") == []:
        return True
    if "is_impossible" not in named:
        return False
    said = row.values.get(named["is_impossible"])
    value = _SWITCH.get(said.lower()) if isinstance(said, str) else said
    if not isinstance(value, bool):
        raise DatasetError(
            f"{path}: {row.place}: {named['is_impossible']} is {said!r}; it must be true or false"
        )
    if value and _texts(answers):
        raise DatasetError(f"{path}: {row.place}: is impossible and has answers; keep one of them")
    return value


def _texts(value: Any) -> bool:
    """Tell whether a cell holds answers: a text that is not blank, or a list or object with something in it."""
    inside = value.get("text") if isinstance(value, dict) else value
    return bool(inside.strip() if isinstance(inside, str) else inside)


def _answers(row: Row, path: Path, column: str) -> tuple[str, ...]:
    """Return the answers, as `datasets` keeps them, as a list of texts or SQuAD's objects, or as one text."""
    value = row.values.get(column)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = parse_json(value)
        except ValueError:
            value = [value]
    if isinstance(value, str):
        value = [value] if value.strip() else []
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, list):
        value = [entry.get("text") if isinstance(entry, dict) else entry for entry in value]
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise DatasetError(f"{path}: {row.place}: {column} holds no texts; {FORMAT}")
    if not value:
        raise DatasetError(
            f"{path}: {row.place}: has no answers; say so in a column is_impossible (SQuAD 2.0), or leave it out"
        )
    return tuple(value)
