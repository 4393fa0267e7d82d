"""The cases that two forms of a model are compared on."""

import numpy as np

from quantkit.graph.parity import MASKS, TokenRanges, cases

RANGES = TokenRanges(tokens=30, types=2, length=9, padding=3)


def test_every_kind_of_mask_for_every_shape() -> None:
    """Each shape comes with each mask, no longer than the model takes, and every row has a token to be read."""
    found = cases(RANGES, [(3, 8), (2, 17)])
    assert [case.name for case in found] == [f"{shape} {mask}" for shape in ("3x8", "2x9") for mask in MASKS]
    assert all(case.feeds["attention_mask"].any(axis=1).all() for case in found)
    assert all((case.feeds["attention_mask"] == 0).any() for case in found if case.mask != "all ones")


def test_padding_stands_where_rows_are_padded() -> None:
    """RoBERTa counts positions by padding tokens: among the text there is none, and at padded ends nothing else."""
    for case in cases(RANGES, [(4, 9)]):
        ids, mask = case.feeds["input_ids"], case.feeds["attention_mask"]
        padded = case.mask in ("right-padded", "left-padded")
        np.testing.assert_array_equal(ids == RANGES.padding, (mask == 0) & padded)


def test_the_same_every_time() -> None:
    """Two runs are compared on the same numbers."""
    for one, other in zip(cases(RANGES, [(2, 7)]), cases(RANGES, [(2, 7)]), strict=True):
        for name, array in one.feeds.items():
            np.testing.assert_array_equal(array, other.feeds[name])


def test_what_counts_of_an_output() -> None:
    """Of scores per token those of padding do not count; of labels all do, also where there are as many as tokens."""
    (case,) = (case for case in cases(RANGES, [(2, 4)]) if case.mask == "right-padded")
    output = np.arange(8.0).reshape(2, 4)
    hidden = case.feeds["attention_mask"] == 0
    np.testing.assert_array_equal(case.seen(output, per_token=True), output[~hidden])
    np.testing.assert_array_equal(case.seen(output, per_token=False), output)
