"""Dataset files of every common form are the same rows, and a damaged one is one line."""

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import DatasetError
from quantkit.tasks import task
from quantkit.tasks.rows.formats import read_rows

ROWS = [{"text": 'He said "no"', "label": "0"}, {"text": "two\nlines, ümlaut", "label": "1"}]
ADVICE = "give rows"


def lines(rows: list[dict[str, str]]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def by_column(rows: list[dict[str, str]]) -> bytes:
    return json.dumps({name: [row[name] for row in rows] for name in rows[0]}).encode()


def separated(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def rows_api(rows: list[dict[str, str]]) -> bytes:
    return json.dumps({"features": [], "rows": [{"row_idx": 0, "row": row} for row in rows]}).encode()


FORMS: dict[str, tuple[str, str, Callable[[list[dict[str, str]]], bytes]]] = {
    "JSON Lines": ("a.jsonl", "JSON Lines", lines),
    "JSON list": ("a.json", "JSON", lambda rows: json.dumps(rows, indent=1).encode()),
    "data": ("a.json", "JSON", lambda rows: json.dumps({"version": 1, "data": rows}).encode()),
    "rows API": ("a.json", "JSON", rows_api),
    "columns": ("a.json", "JSON by column", by_column),
    "CSV": ("a.csv", "CSV", separated),
    "byte order mark": ("a.csv", "CSV", lambda rows: b"\xef\xbb\xbf" + separated(rows)),
    "gzip": ("a.jsonl.gz", "JSON Lines in gzip", lambda rows: gzip.compress(lines(rows))),
    "CSV in gzip": ("a.csv.gz", "CSV in gzip", lambda rows: gzip.compress(separated(rows))),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form: str, tmp_path: Path) -> None:
    """Quotes, line ends inside a text and letters of any script come through, and the form is named."""
    name, told, write = FORMS[form]
    found = read_rows(tmp_path / name, write(ROWS), ADVICE)
    assert (found.kind, found.columns) == (told, ("text", "label"))
    assert [row.values for row in found.rows] == ROWS


def test_quotes_in_tsv_are_letters(tmp_path: Path) -> None:
    """GLUE's files have lone quotes."""
    found = read_rows(tmp_path / "dev.tsv", b'sentence\tlabel\n"lone quote\t1\n', ADVICE)
    assert found.rows[0].values == {"sentence": '"lone quote', "label": "1"}


def test_a_column_may_begin_like_an_archive(tmp_path: Path) -> None:
    """Two letters make no zip archive: only its whole mark does."""
    found = read_rows(tmp_path / "keys.csv", b"PKID,text\n1,good\n", ADVICE)
    assert found.columns == ("PKID", "text")


def test_plain_text_is_a_text_a_line(tmp_path: Path) -> None:
    """A file for calibration may be nothing but texts."""
    found = read_rows(tmp_path / "calls.txt", b"one\n\ntwo\n", ADVICE)
    assert [(row.place, row.values) for row in found.rows] == [
        ("line 1", {"text": "one"}),
        ("line 3", {"text": "two"}),
    ]


@pytest.mark.parametrize("kind", ["parquet", "arrow file", "arrow stream"])
def test_columnar_files(kind: str, tmp_path: Path) -> None:
    """Parquet and both kinds of Arrow are told by their bytes."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table, sink = pyarrow.Table.from_pylist(ROWS), io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, sink)
    else:
        opened = pyarrow.ipc.new_file if kind == "arrow file" else pyarrow.ipc.new_stream
        with opened(sink, table.schema) as writer:
            writer.write_table(table)
    found = read_rows(tmp_path / "any-name", sink.getvalue(), ADVICE)
    assert [row.values for row in found.rows] == ROWS
    with pytest.raises(DatasetError, match="is damaged"):
        read_rows(tmp_path / "any-name", sink.getvalue()[:60], ADVICE)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl", "ü".encode("utf-16"), "is UTF-16; save it as text in UTF-8"),
        ("a.jsonl", "ü".encode("utf-32"), "is UTF-32; save it as text in UTF-8"),
        ("a.jsonl", '{"text": "a"}'.encode("utf-16-le"), "has bytes of 0, as UTF-16 has; save it"),
        ("a.csv", "text\nMüller\n".encode("latin-1"), "line 2: byte 0xfc is not UTF-8 .perhaps Latin-1"),
        ("a.jsonl", b"PK\x03\x04...", "is a zip archive; save it"),
        ("a.jsonl", b"\x28\xb5\x2f\xfd...", "is zstandard; save it"),
        ("a.gz", gzip.compress(b"{}")[:-4], "is truncated gzip; copy"),
        ("a.gz", b"\x1f\x8bnothing", "is damaged gzip"),
        ("a.csv", b"a,b\n1\n", "line 2: has 1 cells and the first line 2"),
        ("a.csv", b"a,a\n1,2\n", "line 1: names a column twice"),
        ("a.csv", b"a,b\n", "has no rows"),
        ("a.json", b"[1]", r"\[0\]: is not an object"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: is not JSON"),
        ("a.data", b"text,label\n", "starts with 't', which is neither JSON nor JSON Lines, and its name"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("a.") else "",
)
def test_a_bad_file_is_one_line(name: str, content: bytes, line: str, tmp_path: Path) -> None:
    """The line names the file, the place, and the encoding or form where that is what is wrong."""
    path = tmp_path / name
    with pytest.raises(DatasetError, match=line) as caught:
        read_rows(path, content, ADVICE)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_gzip_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to more than a dataset has is refused before it is unpacked."""
    monkeypatch.setattr("quantkit.tasks.rows.formats.LARGEST", 1000)
    with pytest.raises(DatasetError, match="has more than 1,000 bytes inside of gzip"):
        read_rows(tmp_path / "a.gz", gzip.compress(b"x" * 5000), ADVICE)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200), name=st.sampled_from(["a", "a.csv", "a.tsv", "a.txt", "a.json"]))
def test_any_bytes_are_rows_or_one_error(content: bytes, name: str) -> None:
    """Nothing but a `DatasetError` comes out of bytes of any kind."""
    with contextlib.suppress(DatasetError):
        assert read_rows(Path(name), content, ADVICE).rows


@pytest.mark.parametrize(
    ("content", "text", "pair"),
    [
        (b'{"text": "a", "label": 1, "more": {}}', "a", None),
        (b'{"sentence": "a", "label": 1, "idx": 4}', "a", None),
        (b'{"sentence1": "a", "sentence2": "b", "label": 1}', "a", "b"),
        (b'{"premise": "a", "hypothesis": "b", "label": 1}', "a", "b"),
        (b'{"question": "a", "sentence": "b", "label": 1}', "a", "b"),
        (b'{"question1": "a", "question2": "b", "label": 1}', "a", "b"),
    ],
)
def test_glue_keys_are_known(content: bytes, text: str, pair: str | None, tmp_path: Path) -> None:
    """The columns of GLUE's tasks are read without being named, and what else a row has is ignored."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    (question,) = task("text-classification").read(path, "a").questions
    assert (question.text, question.text_pair, question.label) == (text, pair, 1)  # type: ignore[attr-defined]


def test_ids_are_made_of_the_content(tmp_path: Path) -> None:
    """Without ids the same text has the same id wherever it stands, and a repeated one a number behind it."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "a", "label": 1}\n{"text": "b", "label": 1}\n{"text": "a", "label": 1}\n')
    first, other, again = (question.id for question in task("text-classification").read(path, "a").questions)
    path.write_bytes(b'{"text": "b", "label": 1}\n{"text": "a", "label": 1}\n')
    assert [other, first] == [
        question.id for question in task("text-classification").read(path, "a").questions
    ]
    assert again == f"{first}-2"


@pytest.mark.parametrize(
    "answers", ['{"text": ["Ann"], "answer_start": [0]}', '["Ann"]', '[{"text": "Ann"}]', '"Ann"']
)
def test_questions_in_rows(answers: str, tmp_path: Path) -> None:
    """SQuAD as `datasets` gives it is what SQuAD's own file is: question, context, answers, title as group."""
    path = tmp_path / "a.jsonl"
    path.write_text(
        f'{{"id": "q", "title": "T", "context": "Ann wrote.", "question": "Who?", "answers": {answers}}}'
    )
    (question,) = task("squad").read(path, "a").questions
    found = (question.id, question.group, question.context, question.answers)  # type: ignore[attr-defined]
    assert found == ("q", "T", "Ann wrote.", ("Ann",))


def test_columns_of_another_name(tmp_path: Path) -> None:
    """`FILE?meaning=column` reads a file with names of its own; the choice is part of the dataset's digest."""
    from quantkit.tasks.datasets import load

    path = tmp_path / "a.csv"
    path.write_text("review,stars,other\ngood,1,x\n")
    dataset = load(f"{path}?text=review&label=stars", "text-classification")
    assert [(question.text, question.label) for question in dataset.questions] == [("good", "1")]  # type: ignore[attr-defined]
    other = load(f"{path}?text=other&label=stars", "text-classification")
    assert dataset.digest != other.digest
    with pytest.raises(DatasetError, match=r"has no column 'txt'; it has review, stars, other"):
        load(f"{path}?text=txt", "text-classification")
    with pytest.raises(DatasetError, match=r"knows no 'txt'; give text, text_pair, label, id, group"):
        load(f"{path}?txt=review", "text-classification")
    with pytest.raises(DatasetError, match=r"write columns as FILE\?text=COLUMN"):
        load(f"{path}?text", "text-classification")
