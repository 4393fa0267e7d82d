"""A metric of the user's own: what it may give, which scale it has, and which of them are refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import EvaluationError
from quantkit.metrics.metric import measures_of, percent
from quantkit.metrics.own import Answers, own_mean, own_scores
from quantkit.records import QuestionScore

Labels = list[str]


def accuracy(predictions: list[Any], references: list[Any]) -> list[float]:
    """Return 1 for each row that is right."""
    return [float(one == other) for one, other in zip(predictions, references, strict=True)]


def answers(predictions: Sequence[str], references: Sequence[str]) -> Answers:
    return Answers(predictions=predictions, references=references, right=references)


labels = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=30)


@given(labels)
def test_rows_of_either_scale_are_shares(rows: list[tuple[str, str]]) -> None:
    """A score of 0 to 100 and one of 0 to 1 are told apart, also where the model has next to nothing right."""
    asked = answers(*zip(*rows, strict=True))
    small = own_scores(accuracy, asked, name="m:f")
    large = own_scores(lambda p, r: [100 * one for one in accuracy(p, r)], asked, name="m:f")
    assert (small.rows, small.by_row) == (large.rows, large.by_row)
    assert small.chance == pytest.approx(large.chance, abs=1e-9)  # a mean of percentages, and one of shares
    assert small.rows == tuple(float(one == other) for one, other in rows)
    assert small.by_row


@given(labels)
def test_one_number_is_every_rows(rows: list[tuple[str, str]]) -> None:
    """The metric is the number that was given, whether for each row or for all."""
    asked = answers(*zip(*rows, strict=True))
    each = own_scores(accuracy, asked, name="m:f")
    whole = own_scores(lambda p, r: 100 * np.mean(accuracy(p, r)), asked, name="m:f")
    assert not whole.by_row
    found = [
        percent(
            own_mean("m:f", chance=scores.chance, by_row=scores.by_row),
            measures_of(
                [QuestionScore(id="q", group="g", answer="", exact_match=0, f1=row) for row in scores.rows]
            ),
        )
        for scores in (each, whole)
    ]
    # Sums of 30 shares in another order.
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_a_low_percentage_is_not_a_high_share() -> None:
    """0.9 of 100 is 0.9 %: a broken model passes no gate by its scale."""
    asked = answers(["x", "x"], ["a", "b"])
    found = own_scores(lambda p, r: 100.0 if p == r else 0.9, asked, name="m:f")
    assert found.rows == (0.9 / 100, 0.9 / 100)


def test_chance_is_what_other_rows_answers_get() -> None:
    """A function that is content with everything leaves the gate's baseline no room above chance."""
    asked = answers(["a"] * 8, ["a", "b"] * 4)
    assert own_scores(lambda p, r: 1.0, asked, name="m:f").chance == 100
    assert own_scores(accuracy, asked, name="m:f").chance < 100


def _raises(predictions: list[Any], references: list[Any]) -> float:
    raise KeyError("a column")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_raises, "raised KeyError: 'a column'; mend it"),
        (lambda p, r: [1.0], r"gave numbers of shape \[1\] for 2 rows"),
        (lambda p, r: [[1.0, 1.0]], r"gave numbers of shape \[1, 2\]"),
        (lambda p, r: float("nan"), "gave NaN or Infinity"),
        (lambda p, r: {"f1": 1.0}, "raised TypeError"),
        (lambda p, r: None, "gave NaN or Infinity"),
        (lambda p, r: -1.0, "gave -1, and for the right answers -1; a metric is from 0 to 1"),
        (lambda p, r: 250.0, "gave 250, and for the right answers 250"),
        (lambda p, r: 0.0 if p == r else 0.25, "higher must be better"),
    ],
)
def test_what_is_no_metric_is_refused(function: Any, said: str) -> None:
    """One line says what the function did, and nothing is scored."""
    with pytest.raises(EvaluationError, match=f"^m:f: .*{said}"):
        own_scores(function, answers(["a", "b"], ["b", "a"]), name="m:f")


def test_the_function_cannot_change_what_is_scored() -> None:
    """Each call gets lists of its own."""

    def spoil(predictions: list[Any], references: list[Any]) -> float:
        predictions[:] = references
        references.clear()
        return 1.0

    asked = answers(["a", "b"], ["b", "a"])
    own_scores(spoil, asked, name="m:f")
    assert asked == answers(["a", "b"], ["b", "a"])
