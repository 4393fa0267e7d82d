"""Marks: what a journal keeps of them is what they were."""

import json

from quantkit.exam.marks import Marks


def test_marks_survive_json() -> None:
    """Every number comes back as it was."""
    marks = Marks(
        divergence=0.001, changed=0.1, score=80.1, ratio=1 / 3, expected_ratio=0.998, expected_ratio_low=0.997
    )
    assert Marks.from_json(json.loads(json.dumps(marks.as_json()))) == marks
