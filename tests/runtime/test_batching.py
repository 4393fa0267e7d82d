"""Batches lose nothing, keep their budget, waste little, and are always the same."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from quantkit.runtime.batching import equal_length_batches, token_budget_batches

LENGTHS = st.lists(st.integers(1, 400), max_size=200)
BUDGET = st.integers(1, 2000)
MAX_BATCH = st.none() | st.integers(1, 16)


@given(LENGTHS, BUDGET, MAX_BATCH)
def test_every_row_once(lengths: list[int], budget: int, max_batch: int | None) -> None:
    """Every row is in exactly one batch."""
    batches = token_budget_batches(lengths, budget, max_batch)
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(lengths)))


@given(LENGTHS, BUDGET, MAX_BATCH)
def test_budget(lengths: list[int], budget: int, max_batch: int | None) -> None:
    """A batch is within the budget and the row limit, or is one single row."""
    for batch in token_budget_batches(lengths, budget, max_batch):
        assert batch.length == max(lengths[index] for index in batch.indices)
        assert batch.tokens <= budget or len(batch.indices) == 1
        assert max_batch is None or len(batch.indices) <= max_batch


@given(LENGTHS, BUDGET, MAX_BATCH)
def test_padding_is_bounded(lengths: list[int], budget: int, max_batch: int | None) -> None:
    """All padding together is at most (most rows in a batch) x (longest - shortest row)."""
    batches = token_budget_batches(lengths, budget, max_batch)
    padding = sum(batch.tokens for batch in batches) - sum(lengths)
    rows = max((len(batch.indices) for batch in batches), default=0)
    assert 0 <= padding <= rows * (max(lengths, default=0) - min(lengths, default=0))


@given(LENGTHS, BUDGET)
def test_equal_lengths_need_no_padding(lengths: list[int], budget: int) -> None:
    """As many rows of one length as fill a batch are a batch without padding."""
    batches = token_budget_batches(lengths, budget)
    unpadded: Counter[int] = Counter()
    for batch in batches:
        if all(lengths[index] == batch.length for index in batch.indices):
            unpadded[batch.length] += len(batch.indices)
    for length, rows in Counter(lengths).items():
        room = max(1, budget // length)
        assert unpadded[length] >= rows - rows % room


@given(LENGTHS, BUDGET)
def test_longest_first(lengths: list[int], budget: int) -> None:
    """Batches come longest first, and so do the rows in them."""
    batches = token_budget_batches(lengths, budget)
    assert [batch.length for batch in batches] == sorted((batch.length for batch in batches), reverse=True)
    for batch in batches:
        rows = [lengths[index] for index in batch.indices]
        assert rows == sorted(rows, reverse=True)


def test_deterministic() -> None:
    """Which rows run together is fixed to the index."""
    batches = token_budget_batches([5, 3, 5, 9, 3, 5], 10)
    assert [(batch.indices, batch.length) for batch in batches] == [
        ((3,), 9),
        ((0, 2), 5),
        ((5, 1), 5),
        ((4,), 3),
    ]


@given(LENGTHS, BUDGET, MAX_BATCH)
def test_equal_lengths_only(lengths: list[int], budget: int, max_batch: int | None) -> None:
    """Every row is in exactly one batch, all rows of a batch have its length, and the limits hold."""
    batches = equal_length_batches(lengths, budget, max_batch)
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(lengths)))
    for batch in batches:
        assert {lengths[index] for index in batch.indices} == {batch.length}
        assert batch.tokens <= budget or len(batch.indices) == 1
        assert max_batch is None or len(batch.indices) <= max_batch
    assert [batch.length for batch in batches] == sorted((batch.length for batch in batches), reverse=True)


@given(LENGTHS, BUDGET)
def test_as_few_and_even_as_can_be(lengths: list[int], budget: int) -> None:
    """Rows of one length make as few batches as the budget allows, which differ by at most one row."""
    batches = equal_length_batches(lengths, budget)
    for length, rows in Counter(lengths).items():
        sizes = [len(batch.indices) for batch in batches if batch.length == length]
        assert len(sizes) == -(-rows // max(1, budget // length))
        assert max(sizes) - min(sizes) <= 1
