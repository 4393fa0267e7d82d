"""Exact match and F1 as the official SQuAD 2.0 script defines them, where no answer may be the right one.

Source: Rajpurkar et al. 2018, "Know What You Don't Know: Unanswerable Questions for SQuAD", and its evaluation script
`evaluate-v2.0.py`. Normalization is v1.1's. Gold answers of which nothing is left are dropped; a question without any
has the empty answer as its only right one. Two empty answers agree, one empty answer has F1 0.
"""

from collections.abc import Iterable

from quantkit.metrics.answers import exact_match, f1, normalize


def exact_match_v2(answer: str, golds: Iterable[str]) -> float:
    """Return 1.0 when the normalized answer equals one of the normalized gold answers, else 0.0.

    Args:
        answer: the empty text for no answer.
        golds: none where the question has no answer.
    """
    return exact_match(answer, _counting(golds))


def f1_v2(answer: str, golds: Iterable[str]) -> float:
    """Return the greatest F1, from 0 to 1, of the answer's words against those of each gold answer.

    Args:
        answer: the empty text for no answer.
        golds: none where the question has no answer.
    """
    counting = _counting(golds)
    if not normalize(answer):
        return float("" in counting)
    return f1(answer, counting)


def _counting(golds: Iterable[str]) -> tuple[str, ...]:
    return tuple(gold for gold in golds if normalize(gold)) or ("",)
