"""What is in a file, said before anything is computed."""

from pathlib import Path

import pytest
from tiny_tasks import save_for_task

import quantkit
from quantkit.errors import DatasetError


def test_check_data(tmp_path: Path) -> None:
    """Columns of other names are read as they are named, tokens are the model's, and its labels are checked."""
    rows = ["message,intent", "good,good", "bad it,bad", "good,good"]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(rows) + "\n")
    artifact = save_for_task(tmp_path / "artifact", "text-classification")
    named = f"{file}?text=message&label=intent"
    plain = quantkit.check_data(named, task="text-classification")
    assert (plain.questions, plain.repeated, plain.labels, plain.tokens) == (
        3,
        1,
        {"good": 2, "bad": 1},
        None,
    )
    for model in (artifact, artifact.path):
        told = quantkit.check_data(named, task="text-classification", model=model)
        assert told.tokens is not None
        assert (told.tokens.least, told.tokens.most, told.truncated) == (3, 4, 0)
    file.write_text("\n".join([*rows, "it,ugly"]) + "\n")
    with pytest.raises(DatasetError, match="ugly"):
        quantkit.check_data(named, task="text-classification", model=artifact)
