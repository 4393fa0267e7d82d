"""Exact match and F1 of answers, as the official SQuAD v1.1 script defines them.

Source: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.1, and
its evaluation script `evaluate-v1.1.py`. Punctuation is ASCII only and articles are English, whatever the
language.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """Return an answer in lower case, without ASCII punctuation and articles, single-spaced.

    The order matters and is the script's: punctuation goes before articles, so `a.m.` is `am`, not `m`.
    """
    bare = answer.lower().translate(_WITHOUT_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", bare).split())


def exact_match(answer: str, golds: Iterable[str]) -> float:
    """Return 1.0 when the normalized answer equals one of the normalized gold answers, else 0.0.

    Raises:
        ValueError: there is no gold answer.
    """
    return _best(_equal, answer, golds)


def f1(answer: str, golds: Iterable[str]) -> float:
    """Return the greatest F1, from 0 to 1, of the answer's words against those of each gold answer.

    Words count as often as they occur. Without a common word F1 is 0, also when both sides are empty.

    Raises:
        ValueError: there is no gold answer.
    """
    return _best(_overlap, answer, golds)


def _best(score: Callable[[str, str], float], answer: str, golds: Iterable[str]) -> float:
    normalized = normalize(answer)
    return max(score(normalized, gold) for gold in {normalize(gold) for gold in golds})


def _equal(answer: str, gold: str) -> float:
    return float(answer == gold)


def _overlap(answer: str, gold: str) -> float:
    answer_words, gold_words = answer.split(), gold.split()
    common = sum((Counter(answer_words) & Counter(gold_words)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(answer_words), common / len(gold_words)
    return 2 * precision * recall / (precision + recall)
