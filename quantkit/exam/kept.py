"""Kept: FP32's answers on disk, for exams that are held again."""

import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quantkit.errors import OutputError
from quantkit.files import write_stream
from quantkit.runtime.session import Arrays

_LOG = logging.getLogger(__name__)


def read_answers(path: Path, rows: int) -> list[Arrays] | None:
    """Return the outputs of every row; None when they are not there, or the file is broken or of other rows."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            outputs = int(arrays["outputs"])
            found = [tuple(arrays[f"{row}.{place}"] for place in range(outputs)) for row in range(rows)]
            return found if len(arrays.files) == 1 + rows * outputs else None
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def write_answers(path: Path, answers: Sequence[Arrays]) -> None:
    """Keep the outputs of every row; a warning when that cannot be done."""
    arrays = {
        f"{row}.{place}": array for row, outputs in enumerate(answers) for place, array in enumerate(outputs)
    }
    count = np.asarray(len(answers[0]) if answers else 0)
    try:
        write_stream(path, lambda stream: np.savez(stream, allow_pickle=False, outputs=count, **arrays))
    except OutputError as error:
        _LOG.warning("the answers of FP32 are not kept: %s", error)
