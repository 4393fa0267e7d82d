"""Losses: zero for equals, blind to padding, and what their formulas say."""

import math

import pytest

torch = pytest.importorskip("torch")

from quantkit.distillation import losses  # noqa: E402 - needs torch

RANDOM = torch.Generator().manual_seed(3)


def some(*shape: int) -> "torch.Tensor":
    return torch.randn(*shape, generator=RANDOM)


MASK = torch.tensor([[True, True, True, False], [True, True, True, True]])


def test_equals_cost_nothing() -> None:
    """A student that gives what its teacher gives has no loss."""
    logits, hidden, vectors = some(2, 4), some(2, 4, 6), [some(2, 4, 6) for _ in range(3)]
    assert float(losses.divergence(logits, logits, MASK, 2.0)) == pytest.approx(0, abs=1e-6)
    assert float(losses.hidden_error(hidden, hidden, MASK)) == 0
    assert float(losses.relation_error(vectors, vectors, MASK, 2)) == pytest.approx(0, abs=1e-6)


def test_padding_counts_nowhere() -> None:
    """Other values where a row has no token change no loss."""
    logits, hidden, vectors = some(2, 4), some(2, 4, 6), some(2, 4, 6)
    target, points, theirs = some(2, 4), some(2, 4, 6), some(2, 4, 9)

    def all_losses() -> list[float]:
        return [
            float(losses.divergence(logits, target, MASK, 2.0)),
            float(losses.hidden_error(hidden, points, MASK)),
            float(losses.relation_error([vectors], [theirs], MASK, 3)),
            float(losses.label_loss([logits], [((1,),), ((0, 2),)], MASK)),
        ]

    before = all_losses()
    for values in (logits, target, hidden, points, vectors, theirs):
        values[0, 3] += 7
    assert all_losses() == pytest.approx(before, abs=1e-6)


def test_divergence_is_in_nats() -> None:
    """Against a certain teacher it is the negative log of the student's probability, times T squared."""
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1000.0]])
    assert float(losses.divergence(student, teacher, None, 3.0)) == pytest.approx(9 * math.log(2), abs=1e-4)


def test_hidden_error_is_relative() -> None:
    """Nothing in place of the teacher's hidden states is an error of 1, whatever their size."""
    assert float(losses.hidden_error(torch.zeros(2, 4, 6), 100 * some(2, 4, 6), MASK)) == pytest.approx(
        1, abs=1e-6
    )


def test_labels_may_be_right_in_several_places() -> None:
    """Two right places of four equal ones cost log 2; a row that no label speaks of costs nothing."""
    logits = torch.zeros(2, 4)
    assert float(losses.label_loss([logits], [((0, 2),), ((),)], None)) == pytest.approx(
        math.log(2), abs=1e-6
    )
    assert float(losses.label_loss([logits], [((),), ((),)], None)) == 0


@pytest.mark.parametrize(
    ("student", "teacher", "most", "heads"), [(224, 384, 12, 8), (384, 384, 12, 12), (7, 5, 4, 1)]
)
def test_relation_heads_divide_both(student: int, teacher: int, most: int, heads: int) -> None:
    """Widths of different heads are regrouped into as many as divide both."""
    assert losses.relation_heads(student, teacher, most) == heads
