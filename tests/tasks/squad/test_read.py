"""Reading SQuAD v1.1 files, good and bad."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import DatasetError
from quantkit.tasks.squad.question import SquadQuestion
from quantkit.tasks.squad.read import read_squad


def content(**question: Any) -> dict[str, Any]:
    """Return a file's content with one question, some of whose fields are replaced."""
    whole = {"id": "q1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}], **question}
    return {"data": [{"title": "T", "paragraphs": [{"context": "Ann wrote.", "qas": [whole]}]}]}


def test_a_file_is_read_in_order(tmp_path: Path) -> None:
    """Ids, title, context, question and all gold answers are read as they stand; the digest is the file's."""
    path = tmp_path / "mine.json"
    answers = [{"text": "Ann", "answer_start": 0}, {"text": "Ann", "answer_start": 99}]
    path.write_text(json.dumps(content(answers=answers)))
    dataset = read_squad(path, "mine")
    (question,) = cast(tuple[SquadQuestion, ...], dataset.questions)
    assert (question.id, question.group, question.context, question.question) == (
        "q1",
        "T",
        "Ann wrote.",
        "Who?",
    )
    assert question.answers == ("Ann", "Ann")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == dataset.digest == dataset.source
    assert ("mine", "squad", path) == (dataset.name, dataset.task, dataset.path)


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    """Files saved by editors that put a mark first are read."""
    path = tmp_path / "mine.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(content()).encode())
    assert len(read_squad(path, "mine").questions) == 1


TWICE = {"data": [*content()["data"], *content()["data"]]}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is empty; give"),
        (" \n", "is empty; give"),
        ('{"data": [{"ti', "is not JSON \\(.*line 1 column.*\\); give"),
        ("not json", "starts with 'n', which is neither JSON nor JSON Lines, .*; give"),
        ("[]", "has no rows; give"),
        ("{}", "has no rows; give"),
        ('{"data": []}', "has no questions; give"),
        ('{"data": [{"title": "T", "paragraphs": []}]}', "has no questions; give"),
        ('{"data": [{"paragraphs": []}]}', r"data\[0\].title: Field required; give"),
        (
            json.dumps(content(id=7)),
            r"data\[0\].paragraphs\[0\].qas\[0\].id: Input should be a valid string; give",
        ),
        (json.dumps(content(id="")), r"qas\[0\].id: is empty; give"),
        (json.dumps(content(question=None)), r"qas\[0\].question: Input should be a valid string; give"),
        (json.dumps(content(answers=[])), "question 'q1' has no answers; say is_impossible"),
        (json.dumps(content(answers=["Ann"])), r"qas\[0\].answers\[0\]: Input should be an object; give"),
        (json.dumps(TWICE), r"data\[1\].paragraphs\[0\].qas\[0\]: id 'q1' was used before; give"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    """Every kind of bad file is one line with the file, the place in it, and what to do."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=line) as caught:
        read_squad(path, "bad")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    """A path that is no file is named."""
    with pytest.raises(DatasetError, match="there is no such file; give"):
        read_squad(tmp_path / "nowhere.json", "x")
    with pytest.raises(DatasetError, match=r"cannot be read .*; give"):
        read_squad(tmp_path, "x")


@settings(max_examples=50)
@given(st.data())
def test_a_truncated_file_is_never_accepted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Wherever a file was cut off, reading it is a `DatasetError` and nothing else."""
    whole = json.dumps(content(question="Wo, in Köln 😀?"), ensure_ascii=False).encode()
    path = tmp_path_factory.mktemp("cut") / "cut.json"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(DatasetError):
        read_squad(path, "cut")


def test_write_squad_writes_what_is_read(write_squad: Callable[..., Path]) -> None:
    """The fixture of the other tests writes files this reader accepts."""
    assert (
        len(read_squad(write_squad({"Ann wrote.": {"Who?": ["Ann"], "What?": ["wrote"]}}), "x").questions)
        == 2
    )
