"""Reading dataset files: bytes, and the one line that a validation error becomes."""

from pathlib import Path
from typing import Any

import pydantic

from quantkit.errors import DatasetError
from quantkit.strict_json import parse_json, read_limited

_UTF8_MARK = b"\xef\xbb\xbf"
_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstandard",
}
_LOOKED_AT = 100  # bytes in which UTF-16 without a mark shows by its zeros
# Pydantic's words are Python's: a list, and a class of ours, which nobody knows who wrote the file.
_JSON_WORDS = {"model_type": "Input should be an object", "list_type": "Input should be a valid array"}
LARGEST = 1 << 30
"""Bytes of the largest dataset file; SQuAD's training set has 30 million."""


def read_file(path: Path) -> bytes:
    """Return the bytes of a dataset file.

    Raises:
        DatasetError: it is missing, empty, or cannot be read.
    """
    try:
        content = read_limited(path, largest=LARGEST)
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file; give the path of a dataset") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); give a file you can read") from error
    except ValueError as error:
        raise DatasetError(f"{path}: cannot be read ({error}); give a file of a dataset") from error
    if not content.strip():
        raise DatasetError(f"{path}: is empty; give a file with questions")
    return content


def without_mark(content: bytes) -> bytes:
    """Return a text file's bytes without the byte order mark that some editors put first."""
    return content.removeprefix(_UTF8_MARK)


def text_of(path: Path, content: bytes, advice: str) -> str:
    """Return the text of a dataset file.

    Args:
        path: the file, for the message.
        content: its bytes.
        advice: what to do, the end of the message.

    Raises:
        DatasetError: it is not UTF-8; the encoding is guessed at.
    """
    for mark, what in _MARKS.items():
        if content.startswith(mark):
            raise DatasetError(f"{path}: is {what}; save it as text in UTF-8, or gzip it")
    if b"\x00" in content[:_LOOKED_AT]:
        raise DatasetError(f"{path}: has bytes of 0, as UTF-16 has; save it as text in UTF-8")
    try:
        return without_mark(content).decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DatasetError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8 (perhaps Latin-1 or Windows-1252); "
            f"save it as UTF-8; {advice}"
        ) from error


def parse(path: Path, content: bytes, advice: str) -> Any:
    """Return the value of a dataset file that is one JSON text.

    Args:
        path: the file, for the message.
        content: its bytes.
        advice: what to do, the end of the message.

    Raises:
        DatasetError: it is not JSON, or no UTF-8.
    """
    text = text_of(path, content, advice)
    try:
        return parse_json(text)
    except ValueError as error:
        raise DatasetError(f"{path}: is not JSON ({error}); {advice}") from error


def explain(error: pydantic.ValidationError) -> str:
    """Return the first finding as `place: message`, such as `data[3].paragraphs[0].qas: Field required`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    place = "".join(steps).lstrip(".")
    message = _JSON_WORDS.get(first["type"], first["msg"])
    return f"{place}: {message}" if place else message
