"""Overlap: none of the gate's questions is used for anything else."""

from pathlib import Path

import pytest
from letters import write_questions

from quantkit.errors import DatasetError
from quantkit.exam.overlap import gate_questions, require_not_the_gates
from quantkit.tasks.datasets import load


def test_questions_of_the_gate_are_named(tmp_path: Path) -> None:
    """The line counts the shared questions and names the first; data without any is fine."""
    gate = gate_questions(
        "squad", str(write_questions(tmp_path / "gate.json", 2, first=1)), None, what="data"
    )
    data = load(str(write_questions(tmp_path / "data.json", 2)), "squad")
    assert gate is not None
    with pytest.raises(DatasetError) as error:
        require_not_the_gates(data.questions, gate, source="data.json", what="questions", advice="mend it")
    assert str(error.value) == (
        f"data.json: 3 of the 6 questions are the gate's ({tmp_path}/gate.json), such as q1-0; mend it"
    )
    require_not_the_gates(data.questions[:3], gate, source="data.json", what="questions", advice="mend it")


def test_a_task_without_a_gate_has_no_overlap(tmp_path: Path) -> None:
    """Where nobody says what the gate asks, and the task has no usual questions, there is nothing to compare with."""
    assert gate_questions("text-classification", None, None, what="data") is None
