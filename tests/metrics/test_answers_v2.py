"""Scores of SQuAD 2.0, against cases worked out by hand from the rules of evaluate-v2.0.py."""

import pytest

from quantkit.metrics.answers_v2 import exact_match_v2, f1_v2


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "f1"),
    [
        pytest.param("", [], 1.0, 1.0, id="no answer, none given"),
        pytest.param("Ann", [], 0.0, 0.0, id="no answer, one given"),
        pytest.param("the.", [], 1.0, 1.0, id="no answer, nothing left of the one given"),
        pytest.param("", ["Ann"], 0.0, 0.0, id="an answer, none given"),
        pytest.param("", ["The", "a ."], 1.0, 1.0, id="nothing left of the gold answers: none is right"),
        pytest.param(
            "", ["the", "Ann"], 0.0, 0.0, id="a gold answer of which nothing is left does not count"
        ),
        pytest.param("the Ann!", ["ann"], 1.0, 1.0, id="articles and punctuation do not count"),
        # Common: old, house. Precision 2 / 3, recall 2 / 2, so 2 · (2/3) / (5/3).
        pytest.param("the old red house", ["old house"], 0.0, 0.8, id="words in common"),
        pytest.param("Bern", ["Basel", "in Bern"], 0.0, 2 / 3, id="the best of several"),
        pytest.param("no no", ["no"], 0.0, 2 / 3, id="words count as often as they occur"),
        pytest.param("Bern", ["Basel"], 0.0, 0.0, id="nothing in common"),
    ],
)
def test_rules_of_the_official_script(answer: str, golds: list[str], exact: float, f1: float) -> None:
    """No answer is right exactly where there is none; else words are compared as in v1.1."""
    assert (exact_match_v2(answer, golds), f1_v2(answer, golds)) == (exact, pytest.approx(f1, abs=1e-12))
