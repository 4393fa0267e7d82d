"""Reading dataset files: bytes, and the one line that a validation error becomes."""

from pathlib import Path

import pydantic

from quantkit.errors import DatasetError

_UTF8_MARK = b"\xef\xbb\xbf"


def read_file(path: Path) -> bytes:
    """Return the bytes of a dataset file.

    Raises:
        DatasetError: it is missing, empty, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file; give the path of a dataset") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); give a file you can read") from error
    if not content.strip():
        raise DatasetError(f"{path}: is empty; give a file with questions")
    return content


def without_mark(content: bytes) -> bytes:
    """Return a text file's bytes without the byte order mark that some editors put first."""
    return content.removeprefix(_UTF8_MARK)


def explain(error: pydantic.ValidationError) -> str:
    """Return the first finding as `place: message`, such as `data[3].paragraphs[0].qas: Field required`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    place = "".join(steps).lstrip(".")
    return f"{place}: {first['msg']}" if place else first["msg"]
