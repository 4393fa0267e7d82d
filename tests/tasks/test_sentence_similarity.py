"""Sentence similarity: the score that a pair may expect."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantkit.tasks.sentence_similarity import TASK, is_scored
from quantkit.tasks.task import Dataset, Window, WindowSettings


def pairs(path: Path, scores: list[float]) -> Dataset:
    rows = [
        {"sentence1": "a", "sentence2": "b", "score": score, "id": str(n)} for n, score in enumerate(scores)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TASK.read(path, "pairs")


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 3.1)), min_size=2, max_size=20))
def test_expected_scores_are_shares(tmp_path_factory, rows: list[tuple[int, float]]) -> None:
    """From 0 to 1 whatever the order of cosines, 1 for a pair whose two ranks are one."""
    dataset = pairs(tmp_path_factory.mktemp("rows") / "rows.jsonl", [float(score) for score, _ in rows])
    nothing = np.zeros(1, np.int64)
    windows = [
        Window(question=at, input_ids=nothing, token_type_ids=nothing)
        for at in range(len(rows))
        for _ in "ab"
    ]
    outputs = [
        (np.array(vector, np.float32),)
        for _, angle in rows
        for vector in ((1.0, 0.0), (np.cos(angle), np.sin(angle)))
    ]
    found = TASK.expected_scores(dataset, windows, outputs, WindowSettings())
    assert is_scored(dataset)
    assert all(0 <= score <= 1 for score in found)
    same = [(np.array(vector, np.float32),) for score, _ in rows for vector in ((1, 0), (1, 5 - score))]
    assert TASK.expected_scores(dataset, windows, same, WindowSettings()) == [1.0] * len(rows)
