"""Entities from the tags of words, by the rules of seqeval (its default, as conlleval): IOB1, IOB2, IOE, BIOES, IO.

A tag is `O` or a prefix, a dash and a type: `B-PER` begins, `I-PER` is inside, `E-PER` ends, `S-PER` is one alone; `L`
and `U` of BILOU are `E` and `S`. An entity also begins where the type changes, and inside may begin one. Where no label
of a model has a prefix (`PER`, `LOC`, `O`), every tag counts as inside: words of one type side by side are one entity.
"""

import re
from collections.abc import Iterable, Sequence

Entity = tuple[str, int, int]
"""Type, first word, last word."""
OUTSIDE = "O"
_PREFIXED = re.compile(r"([BIOESLU])(?:-(.*))?", re.DOTALL)
_SAME = {"L": "E", "U": "S"}
_ENDED_BEFORE = frozenset({"BB", "BS", "BO", "IB", "IS", "IO"})
_BEGINS_AFTER = frozenset({"EE", "EI", "SE", "SI", "OE", "OI"})


def have_prefixes(labels: Iterable[str]) -> bool:
    """Return whether labels are a prefix and a type: all but `O`."""
    named = [label for label in labels if label != OUTSIDE]
    return bool(named) and all(re.match(r"[BIESLU]-", label) for label in named)


def entities(tags: Sequence[str], *, prefixes: bool) -> tuple[Entity, ...]:
    """Return the entities of a sentence, in order.

    Args:
        tags: of each word.
        prefixes: whether tags have them (`have_prefixes` of the model's labels).
    """
    found: list[Entity] = []
    before, kind, begin = OUTSIDE, "", 0
    for at, tag in enumerate([*tags, OUTSIDE]):
        prefix, named = _split(tag, prefixes=prefixes)
        if _ends(before, kind, prefix, named):
            found.append((kind, begin, at - 1))
        if _begins(before, kind, prefix, named):
            begin = at
        before, kind = prefix, named
    return tuple(found)


def counts(gold: Sequence[Entity], found: Sequence[Entity]) -> tuple[int, int, int]:
    """Return how many entities are right, how many found ones are wrong, and how many are missed."""
    right = len(set(gold) & set(found))
    return right, len(set(found)) - right, len(set(gold)) - right


def _split(tag: str, *, prefixes: bool) -> tuple[str, str]:
    if tag == OUTSIDE:
        return OUTSIDE, ""
    if not prefixes:
        return "I", tag
    match = _PREFIXED.fullmatch(tag)
    if match is None:
        return "I", tag
    return _SAME.get(match[1], match[1]), match[2] or "_"


def _ends(before: str, kind: str, prefix: str, named: str) -> bool:
    if before == OUTSIDE:
        return False
    return before in "ES" or before + prefix in _ENDED_BEFORE or kind != named


def _begins(before: str, kind: str, prefix: str, named: str) -> bool:
    if prefix == OUTSIDE:
        return False
    return prefix in "BS" or before + prefix in _BEGINS_AFTER or kind != named
