"""Losses by what a task's outputs are."""

import pytest

from quantkit.tasks import task

torch = pytest.importorskip("torch")
outcomes = pytest.importorskip("quantkit.distillation.outcomes")
right_loss, teacher_loss = outcomes.right_loss, outcomes.teacher_loss

MASK = torch.ones(2, 3, dtype=torch.bool)


@pytest.mark.parametrize("name", ["multi-label-classification", "text-regression", "reranking"])
def test_a_teacher_is_copied_at_0(name: str) -> None:
    """The loss is 0 where a student says what its teacher says, and above 0 elsewhere."""
    teacher = torch.tensor([[2.0], [-1.0]])
    assert float(teacher_loss(task(name), [teacher], [teacher], MASK, 2.0)) == pytest.approx(0, abs=1e-7)
    assert float(teacher_loss(task(name), [teacher + 1], [teacher], MASK, 2.0)) > 0.01


def test_labels_of_sets() -> None:
    """The binary cross entropy of each label, of rows whose labels are known; none known: 0."""
    does, logits = task("multi-label-classification"), torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    # ln 2 for each label of an undecided row.
    assert float(right_loss(does, [logits], [((1,),), ()], MASK)) == pytest.approx(0.693147, rel=1e-5)
    assert float(right_loss(does, [logits], [((),), ()], MASK)) == pytest.approx(0.693147, rel=1e-5)
    assert float(right_loss(does, [logits], [(), ()], MASK)) == 0


def test_labels_of_numbers() -> None:
    """The squared error, of rows that have a number."""
    does, logits = task("text-regression"), torch.tensor([[1.0], [5.0]])
    assert float(right_loss(does, [logits], [((3.0,),), ()], MASK)) == 4.0
    assert float(right_loss(does, [logits], [(), ()], MASK)) == 0
