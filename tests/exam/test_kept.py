"""FP32's answers on disk: as they were, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from quantkit.exam.kept import read_answers, write_answers

ANSWERS = [(np.arange(3, dtype=np.float32), np.ones(3, np.float32)), (np.zeros(2, np.float32),) * 2]


def test_answers_come_back(tmp_path: Path) -> None:
    """To the last bit, row by row."""
    write_answers(tmp_path / "folder" / "a.npz", ANSWERS)
    found = read_answers(tmp_path / "folder" / "a.npz", 2)
    assert found is not None
    for row, wanted in zip(found, ANSWERS, strict=True):
        for one, other in zip(row, wanted, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("rows", [1, 3])
def test_answers_of_other_rows_are_nothing(tmp_path: Path, rows: int) -> None:
    """A file with fewer or more rows is of other questions."""
    write_answers(tmp_path / "a.npz", ANSWERS)
    assert read_answers(tmp_path / "a.npz", rows) is None


def test_a_file_that_was_cut_off_is_nothing(tmp_path: Path) -> None:
    """FP32 answers again."""
    write_answers(tmp_path / "a.npz", ANSWERS)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    assert read_answers(tmp_path / "a.npz", 2) is None
