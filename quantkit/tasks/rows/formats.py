"""From the bytes of a dataset file to rows: JSON, JSON Lines, CSV, TSV, plain text, Parquet and Arrow, gzip around it.

The kind is told by the bytes where they tell, and by the file's name where they do not (CSV, TSV, plain text).
"""

import csv
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.errors import DatasetError, UsageError
from quantkit.strict_json import parse_json
from quantkit.tasks.reading import LARGEST, text_of, without_mark

_GZIP, _PARQUET, _ARROW, _STREAM = b"\x1f\x8b", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_LINES = (".jsonl", ".ndjson")
_PLAIN = ".txt"
_PACKED = (".gz", ".gzip")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row: column → value, and where it stands, such as `line 3`."""

    place: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """A file's rows.

    Attributes:
        kind: what kind of file it is, for people.
        rows: in the order of the file, at least one.
        columns: of the rows, each once, in the order in which they come.
    """

    kind: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]


def unpacked(path: Path, content: bytes) -> tuple[bytes, bool]:
    """Return the bytes inside of gzip, and whether there was any.

    Raises:
        DatasetError: the gzip data is damaged, or has more in it than a dataset file may have.
    """
    if not content.startswith(_GZIP):
        return content, False
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        inside = inflate.decompress(content, LARGEST)
    except zlib.error as error:
        raise DatasetError(f"{path}: is damaged gzip ({error}); copy the file again") from error
    if inflate.unconsumed_tail:
        raise DatasetError(f"{path}: has more than {LARGEST:,} bytes inside of gzip; give a part of it")
    if not inflate.eof:
        raise DatasetError(f"{path}: is truncated gzip; copy the file again")
    return inside, True


def read_rows(path: Path, content: bytes, advice: str) -> Rows:
    """Return the rows of a file.

    Args:
        path: the file, for its name's ending and for messages.
        content: its bytes.
        advice: what to do, the end of messages.

    Raises:
        DatasetError: it is none of the forms, is damaged, or has no rows.
        UsageError: it is Parquet or Arrow and pyarrow is not installed.
    """
    inside, packed = unpacked(path, content)
    # reviews.csv.gz, and reviews.csv that is gzip inside.
    ending = (
        Path(path.stem).suffix.lower() if packed and path.suffix.lower() in _PACKED else path.suffix.lower()
    )
    if inside.startswith((_PARQUET, _ARROW, _STREAM)):
        kind, rows = _columnar(path, inside)
    else:
        kind, rows = _of_text(path, text_of(path, inside, advice), ending, advice)
    columns = dict.fromkeys(name for row in rows for name in row.values)
    if not columns:
        raise DatasetError(f"{path}: has no rows; {advice}")
    return Rows(kind=f"{kind} in gzip" if packed else kind, rows=tuple(rows), columns=tuple(columns))


def _of_text(path: Path, text: str, ending: str, advice: str) -> tuple[str, list[Row]]:
    if ending in _SEPARATORS:
        return ending[1:].upper(), list(_separated(path, text, _SEPARATORS[ending], advice))
    if ending == _PLAIN:
        lines = enumerate(text.splitlines(), start=1)
        return "plain text", [
            Row(place=f"line {at}", values={"text": line}) for at, line in lines if line.strip()
        ]
    start = text.lstrip()[:1]
    if start == "[" or (start == "{" and not _is_lines(text, by_name=ending in _LINES)):
        return _json(path, text, advice)
    if start != "{":
        raise DatasetError(
            f"{path}: starts with {start!r}, which is neither JSON nor JSON Lines, and its name does not end in "
            f".csv, .tsv or .txt; {advice}"
        )
    return "JSON Lines", list(_lines(path, text, advice))


def is_one_object(content: bytes) -> bool:
    """Return whether bytes begin as one JSON object does, and not as lines of them."""
    text = without_mark(content).decode("utf-8", errors="replace")
    return text.lstrip()[:1] == "{" and not _is_lines(text)


def _is_lines(text: str, *, by_name: bool = False) -> bool:
    """Return whether the first line is an object of its own, as in JSON Lines, and not the column table of a file.

    An object of lists may be either, where it is the only line: then the file's name decides.
    """
    first, _, rest = text.lstrip().partition("\n")
    try:
        value = parse_json(first)
    except ValueError:
        # A whole JSON text begins with a line that is no value; a broken line of JSON Lines is told as one.
        return first.rstrip().endswith("}") and "\n" in text.strip()
    return bool(rest.strip()) or not (_wraps(value) or (is_by_column(value) and not by_name))


def is_by_column(value: Any) -> bool:
    """Return whether a value is a dict of lists of one length, as `Dataset.to_dict` of Hugging Face gives it."""
    if not isinstance(value, dict) or not value or _wraps(value):
        return False
    lists = [entry for entry in value.values() if isinstance(entry, list)]
    return len(lists) == len(value) and len({len(entry) for entry in lists}) == 1


def _wraps(value: Any) -> bool:
    """Return whether a value has its rows under a name, as the rows API of Hugging Face does, and SQuAD."""
    return isinstance(value, dict) and any(
        isinstance(value.get(name), list | dict) for name in ("data", "rows")
    )


def _lines(path: Path, text: str, advice: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise DatasetError(f"{path}: line {number}: is not JSON ({error}); {advice}") from error
        yield _row(path, f"line {number}", value, advice)


def _json(path: Path, text: str, advice: str) -> tuple[str, list[Row]]:
    try:
        value = parse_json(text)
    except ValueError as error:
        raise DatasetError(f"{path}: is not JSON ({error}); {advice}") from error
    if isinstance(value, dict):
        inside = value.get("data", value.get("rows"))
        if isinstance(inside, list):
            # The rows API wraps each row: {"row_idx": 0, "row": {...}}.
            value = [
                entry["row"] if isinstance(entry, dict) and "row" in entry else entry for entry in inside
            ]
    if isinstance(value, list):
        return "JSON", [_row(path, f"[{at}]", entry, advice) for at, entry in enumerate(value)]
    if not is_by_column(value):
        raise DatasetError(
            f"{path}: is an object that is neither rows nor lists of one length by column; {advice}"
        )
    names = list(value)
    return "JSON by column", [
        Row(place=f"[{at}]", values=dict(zip(names, entries, strict=True)))
        for at, entries in enumerate(zip(*value.values(), strict=True))
    ]


def _row(path: Path, place: str, value: Any, advice: str) -> Row:
    if not isinstance(value, dict):
        raise DatasetError(f"{path}: {place}: is not an object; {advice}")
    return Row(place=place, values=value)


def _separated(path: Path, text: str, separator: str, advice: str) -> Iterator[Row]:
    # GLUE's TSV files have quotes that are letters; in CSV they are quotes.
    stream = io.StringIO(text, newline="")
    if separator == "\t":
        reader = csv.reader(stream, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(stream, delimiter=separator)
    try:
        head = next(reader, [])
        if len(set(head)) != len(head):
            raise DatasetError(f"{path}: line 1: names a column twice; give every column its own name")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(head):
                raise DatasetError(
                    f"{path}: line {reader.line_num}: has {len(cells)} cells and the first line {len(head)}; {advice}"
                )
            yield Row(place=f"line {reader.line_num}", values=dict(zip(head, cells, strict=True)))
    except csv.Error as error:
        raise DatasetError(f"{path}: line {reader.line_num}: {error}; {advice}") from error


def _columnar(path: Path, content: bytes) -> tuple[str, list[Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise UsageError(f'{path}: reading it needs pyarrow; run pip install "quantkit[data]"') from None
    kind = "Parquet" if content.startswith(_PARQUET) else "Arrow"
    buffer = pyarrow.BufferReader(content)
    try:
        if kind == "Parquet":
            table = pyarrow.parquet.read_table(buffer)
        elif content.startswith(_ARROW):
            table = pyarrow.ipc.open_file(buffer).read_all()
        else:
            table = pyarrow.ipc.open_stream(buffer).read_all()
        found = table.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0][:160]
        raise DatasetError(f"{path}: is damaged {kind} ({first}); copy the file again") from error
    return kind, [Row(place=f"row {at}", values=row) for at, row in enumerate(found, start=1)]
