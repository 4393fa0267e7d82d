"""Reading sentences: CoNLL (a word and its tag a line, blank lines between sentences) and rows of lists.

    EU NNP B-NP B-ORG          {"id": "1", "tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}
    rejects VBZ B-VP O

Of a line in CoNLL the first column is the word and the last one the tag. `-DOCSTART-` begins a document, by which the
gate groups sentences. Tags of rows are names or numbers of labels; without a column of tags the file is for
calibration.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from quantkit.errors import DatasetError
from quantkit.files import sha256_bytes
from quantkit.tasks.reading import read_file, without_mark
from quantkit.tasks.rows.columns import Meaning, called, made_id, text_id
from quantkit.tasks.rows.formats import Row, read_rows, unpacked
from quantkit.tasks.task import Dataset
from quantkit.tasks.token_classification.question import Sentence

_FORMAT = "give CoNLL lines (word and tag) or rows with tokens and ner_tags"
_DOCUMENT = "-DOCSTART-"
_ROWS = (b"{", b"[{", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")
_COMMENT = re.compile(r"# (id|newdoc|sent_id|text)\b")
_MEANINGS = (
    Meaning(name="tokens", known=("tokens", "words"), needed=True),
    Meaning(name="tags", known=("ner_tags", "tags", "ner", "labels", "entities")),
    Meaning(name="id", known=("id", "idx", "guid")),
    Meaning(name="group", known=("group", "document_id", "doc_id")),
)


def read_sentences(path: Path, name: str, task: str, columns: Mapping[str, str] | None) -> Dataset:
    """Read a file.

    Raises:
        DatasetError: it is missing, empty, broken, of another schema, or has an id twice.
    """
    content = read_file(path)
    inside, _ = unpacked(path, content)
    start = without_mark(inside).lstrip()
    if start[:1] == b"[" and start[1:].lstrip()[:1] == b"{":
        start = b"[{"
    rows = start.startswith(_ROWS) or inside.startswith(_ROWS)
    found = _of_rows(path, content, columns or {}) if rows else _of_lines(path, inside)
    questions: dict[str, Sentence] = {}
    for sentence in found(questions):
        questions[sentence.id] = sentence
    if not questions:
        raise DatasetError(f"{path}: has no sentences; {_FORMAT}")
    digest = sha256_bytes(content)
    return Dataset(
        name=name, path=path, digest=digest, source=digest, task=task, questions=tuple(questions.values())
    )


def _of_rows(path: Path, content: bytes, columns: Mapping[str, str]) -> Any:
    rows = read_rows(path, content, _FORMAT)
    named = called(path, rows.columns, _MEANINGS, columns)
    found = rows.rows
    if "by column" in rows.kind and all(isinstance(row.values.get(named["tokens"]), str) for row in found):
        # One object of lists is a sentence here, and not columns of sentences.
        whole = {name: [row.values.get(name) for row in found] for name in rows.columns}
        found = (Row(place="[0]", values=whole),)

    def sentences(taken: Mapping[str, object]) -> Iterator[Sentence]:
        for row in found:
            yield _of_row(row, path, named, taken)

    return sentences


def _of_row(row: Row, path: Path, named: Mapping[str, str], taken: Mapping[str, object]) -> Sentence:
    words, tags = row.values.get(named["tokens"]), row.values.get(named.get("tags", ""))
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise DatasetError(
            f"{path}: {row.place}: {named['tokens']} is no list of words; split the text into words; {_FORMAT}"
        )
    if "tags" in named:
        fits = isinstance(tags, list) and all(
            isinstance(tag, str | int) and not isinstance(tag, bool) for tag in tags
        )
        if not fits or not isinstance(tags, list) or len(tags) != len(words):
            raise DatasetError(
                f"{path}: {row.place}: {named['tags']} has no tag for each of {len(words)} words; {_FORMAT}"
            )
    name = text_id(row, path, named, taken) or made_id([words, tags], taken)
    group = row.values.get(named.get("group", ""))
    return Sentence(
        id=name,
        group=name if group in (None, "") else str(group),
        words=tuple(words),
        tags=None if tags is None else tuple(tags),
    )


def _of_lines(path: Path, content: bytes) -> Any:
    try:
        text = without_mark(content).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save it as UTF-8; {_FORMAT}"
        ) from error

    def sentences(taken: Mapping[str, object]) -> Iterator[Sentence]:
        document = 0
        words: list[str] = []
        tags: list[str | int] = []
        for number, line in enumerate([*text.split("\n"), ""], start=1):
            cells = re.split(r"\t" if "\t" in line else r" +", line.strip(" \r\n"))
            if cells[0] == _DOCUMENT:
                document += 1
            elif line.strip() and not _COMMENT.match(line):
                if len(cells) < 2 or not cells[-1].strip():
                    raise DatasetError(f"{path}: line {number}: has a word and no tag; {_FORMAT}")
                words.append(cells[0])
                tags.append(cells[-1].strip())
            elif not line.strip() and words:
                name = made_id([words, tags], taken)
                group = f"document {document}" if document else name
                yield Sentence(id=name, group=group, words=tuple(words), tags=tuple(tags))
                words, tags = [], []

    return sentences
