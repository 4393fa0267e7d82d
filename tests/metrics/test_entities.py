"""Entities from tags, as seqeval finds them."""

import random

import pytest

from quantkit.metrics.entities import counts, entities, have_prefixes


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("B-PER I-PER O B-LOC", [("PER", 0, 1), ("LOC", 3, 3)]),  # IOB2
        ("B-PER B-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("I-PER I-PER I-LOC", [("PER", 0, 1), ("LOC", 2, 2)]),  # IO, IOB1
        ("I-PER B-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        ("S-PER B-LOC I-LOC E-LOC E-LOC", [("PER", 0, 0), ("LOC", 1, 3), ("LOC", 4, 4)]),  # BIOES
        ("U-PER B-LOC L-LOC", [("PER", 0, 0), ("LOC", 1, 2)]),  # BILOU
        ("B-PER I-LOC", [("PER", 0, 0), ("LOC", 1, 1)]),
        ("O O", []),
        ("B-A-B I-A-B", [("A-B", 0, 1)]),
    ],
)
def test_entities_are_found_by_the_rules(tags: str, found: list[tuple[str, int, int]]) -> None:
    """A tag begins, continues or ends an entity by its prefix, its type and the tag before."""
    assert list(entities(tags.split(), prefixes=True)) == found


def test_without_prefixes_words_of_one_type_are_one_entity() -> None:
    """IO is told by the labels' names: `B` is a type there, and `PER` is no prefix P."""
    assert not have_prefixes(["O", "PER", "B"])
    assert have_prefixes(["O", "B-PER", "I-PER"])
    assert not have_prefixes(["O"])
    assert entities(["PER", "PER", "O", "B"], prefixes=False) == (("PER", 0, 1), ("B", 3, 3))


def test_counts_are_of_whole_entities() -> None:
    """A wrong end or a wrong type is one wrong and one missed."""
    gold, found = [("PER", 0, 1), ("LOC", 3, 3)], [("PER", 0, 0), ("LOC", 3, 3)]
    assert counts(gold, found) == (1, 1, 1)


def test_seqeval_agrees() -> None:
    """Random tags of every scheme, well formed or not; run where seqeval is installed."""
    theirs = pytest.importorskip("seqeval.metrics.sequence_labeling")
    random_tags = random.Random(0)
    for prefixes in ("BI", "I", "BIES", "IE"):
        tags = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC"))]
        for _ in range(500):
            drawn = [random_tags.choice(tags) for _ in range(random_tags.randint(0, 9))]
            assert list(entities(drawn, prefixes=True)) == [tuple(one) for one in theirs.get_entities(drawn)]
