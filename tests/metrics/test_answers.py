"""Exact match and F1 against an oracle written another way."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.metrics.answers import exact_match, f1, normalize

WORDS = st.lists(
    st.sampled_from(
        ["the", "a", "an", "An", "cat", "Cat.", "co-op", "é", "\u2019s", "1,000", "ß", "the\u2013"]
    )
)
TEXTS = st.one_of(st.text(max_size=30), WORDS.map(" ".join))


def oracle_words(text: str) -> list[str]:
    """Normalize by reading characters one by one: runs of word characters that are articles become spaces."""
    kept = [character for character in text.lower() if character not in set(string.punctuation)]
    runs: list[str] = []
    for character in kept:
        if runs and character.isalnum() == runs[-1][-1].isalnum():
            runs[-1] += character
        else:
            runs.append(character)
    return "".join(" " if run in {"a", "an", "the"} else run for run in runs).split()


def oracle_f1(answer: str, gold: str) -> float:
    """Pair words off one at a time; F1 is twice the pairs over all words."""
    left, right = oracle_words(answer), oracle_words(gold)
    total, pairs = len(left) + len(right), 0
    for word in left:
        if word in right:
            right.remove(word)
            pairs += 1
    return 2 * pairs / total if pairs else 0.0


@given(TEXTS)
def test_normalize_equals_the_oracle(text: str) -> None:
    """Normalizing equals reading the characters one by one."""
    assert " ".join(oracle_words(text)) == normalize(text)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4))
def test_f1_equals_the_oracle(answer: str, golds: list[str]) -> None:
    """F1 is the greatest over the gold answers of the pairwise F1."""
    assert max(oracle_f1(answer, gold) for gold in golds) == pytest.approx(f1(answer, golds), abs=1e-12)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=4))
def test_exact_match_equals_the_oracle(answer: str, golds: list[str]) -> None:
    """An exact match is equality of the normalized words with one gold answer."""
    assert float(any(oracle_words(answer) == oracle_words(gold) for gold in golds)) == exact_match(
        answer, golds
    )


@given(TEXTS)
def test_an_exact_match_with_words_has_f1_of_one(text: str) -> None:
    """What equals the gold answer scores 1, unless nothing is left of it: the official script gives 0."""
    assert exact_match(text, [text]) == 1.0
    assert float(bool(normalize(text))) == f1(text, [text])


@pytest.mark.parametrize(
    ("answer", "golds", "expected_match", "expected_f1"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1.0, 1.0),
        ("Denver Broncos", ["Denver Broncos", "Broncos"], 1.0, 1.0),
        ("the Denver Broncos team", ["Denver Broncos", "Broncos"], 0.0, 0.8),
        ("cat cat", ["cat"], 0.0, 2 / 3),
        ("10 a.m.", ["10 am"], 1.0, 1.0),
        ("“quoted”", ["quoted"], 0.0, 0.0),
        ("", ["something"], 0.0, 0.0),
        ("the", ["a"], 1.0, 0.0),
    ],
)
def test_known_scores(answer: str, golds: list[str], expected_match: float, expected_f1: float) -> None:
    """Articles, ASCII (not typographic) punctuation, repeated words and empty answers score as officially."""
    assert exact_match(answer, golds) == expected_match
    assert f1(answer, golds) == pytest.approx(expected_f1, abs=1e-12)


def test_no_gold_answer_is_an_error() -> None:
    """A question without gold answers has no score at all, rather than 0."""
    with pytest.raises(ValueError, match="empty"):
        f1("x", [])
