"""Reading dataset files: bytes, and the one line that a validation error becomes."""

from pathlib import Path
from typing import Any

import pydantic

from quantkit.errors import DatasetError
from quantkit.strict_json import parse_json, read_limited

_UTF8_MARK = b"\xef\xbb\xbf"
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


def parse(path: Path, content: bytes, advice: str) -> Any:
    """Return the value of a dataset file that is one JSON text.

    Args:
        path: the file, for the message.
        content: its bytes.
        advice: what to do, the end of the message.

    Raises:
        DatasetError: it is not JSON.
    """
    try:
        return parse_json(without_mark(content))
    except ValueError as error:
        raise DatasetError(f"{path}: is not JSON ({error}); {advice}") from error


def explain(error: pydantic.ValidationError) -> str:
    """Return the first finding as `place: message`, such as `data[3].paragraphs[0].qas: Field required`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    place = "".join(steps).lstrip(".")
    message = _JSON_WORDS.get(first["type"], first["msg"])
    return f"{place}: {message}" if place else message
