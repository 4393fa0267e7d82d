"""Statistics: the same for any order in which rows are done, and what numpy says of all tokens together."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.quantization.observe import statistics
from quantkit.quantization.observe.statistics import (
    Detail,
    Statistics,
    StatisticsObserver,
    as_arrays,
    from_arrays,
)
from quantkit.runtime.batching import Batch

CHANNELS = 5


def batches_of(rows: Sequence[np.ndarray]) -> list[Batch]:
    """Return a batch for each row; indices are any numbers, as batches are sorted by length."""
    return [Batch(indices=(7 * place + 3,), length=len(row)) for place, row in enumerate(rows)]


def observe(
    rows: Sequence[np.ndarray], order: Sequence[int], *, detail: Detail = Detail.MOMENTS
) -> dict[str, Statistics]:
    """Return the statistics of two tensors, the second the negative of the first, from rows done in this order."""
    batches = batches_of(rows)
    observer = StatisticsObserver(["x", "y"], batches, detail=detail)
    for place in order:
        observer.consume(batches[place], (rows[place][None], -rows[place][None]))
    return observer.statistics()


def random_rows(seed: int, count: int) -> list[np.ndarray]:
    """Return rows of 1 to 9 tokens whose channels differ in scale and mean."""
    random = np.random.default_rng(seed)
    return [
        (random.normal(size=(random.integers(1, 10), CHANNELS)) * np.logspace(-2, 2, CHANNELS) + 1).astype(
            np.float32
        )
        for _ in range(count)
    ]


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12), data=st.data())
def test_any_order_equals_numpy(seed: int, count: int, data: st.DataObject) -> None:
    """Whatever order rows are done in, results are the same to the last bit, and numpy's on all tokens at once."""
    rows = random_rows(seed, count)
    order = data.draw(st.permutations(range(count)))
    found, again = observe(rows, range(count)), observe(rows, order)
    tokens = np.concatenate(rows).astype(np.float64)
    for name, values in (("x", tokens), ("y", -tokens)):
        seen, other = found[name], again[name]
        for what in ("low", "high", "mean", "square", "moment", "sample"):
            np.testing.assert_array_equal(getattr(seen, what), getattr(other, what))
        assert seen.tokens == other.tokens == len(tokens)
        np.testing.assert_array_equal(seen.low, values.min(axis=0).astype(np.float32))
        np.testing.assert_array_equal(seen.high, values.max(axis=0).astype(np.float32))
        np.testing.assert_array_equal(seen.magnitude, np.abs(values).max(axis=0).astype(np.float32))
        # Sums in float64, of numbers up to 400.
        np.testing.assert_allclose(seen.mean, values.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(seen.square, np.square(values).mean(axis=0), rtol=1e-12)
        # Products in float32; an entry's error goes with the sizes of its two channels.
        sizes = np.sqrt(np.square(values).mean(axis=0))
        assert seen.moment is not None
        off = np.abs(seen.moment - values.T @ values / len(values)) / np.outer(sizes, sizes)
        assert off.max() < 1e-5


def test_pooled_tensors() -> None:
    """A tensor of one vector a row, [1, channels], is one token."""
    batch = Batch(indices=(0,), length=4)
    observer = StatisticsObserver(["pooled"], [batch], detail=Detail.MOMENTS)
    observer.consume(batch, (np.float32([[1, -2, 3]]),))
    seen = observer.statistics()["pooled"]
    assert (seen.tokens, seen.low.tolist(), seen.high.tolist()) == (1, [1, -2, 3], [1, -2, 3])
    assert seen.moment.tolist() == [[1, -2, 3], [-2, 4, -6], [3, -6, 9]]  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [1, 3, 40])
def test_sample_is_of_every_row(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Each row gives as many tokens as any other, of its own, in order, and the whole row when it has no more."""
    monkeypatch.setattr(statistics, "SAMPLE_TOKENS", 12)
    rows = [np.arange(9 * n, 9 * n + 9, dtype=np.float32)[:, None].repeat(CHANNELS, 1) for n in range(count)]
    sample = observe(rows, range(count))["x"].sample
    assert sample is not None
    each = min(9, -(-12 // count))
    assert sample.shape == (each * count, CHANNELS)
    for number in range(count):
        taken = sample[each * number : each * (number + 1), 0]
        assert set(taken) <= set(rows[number][:, 0])
        assert (np.diff(taken) > 0).all()


def test_without_moments() -> None:
    """What is large is kept only when it was asked for."""
    seen = observe(random_rows(1, 3), range(3), detail=Detail.CHANNELS)["x"]
    assert (seen.moment, seen.sample) == (None, None)
    assert seen.square.shape == (CHANNELS,)


def test_taken_apart_whole() -> None:
    """Moments and sample are stored where somebody asks for them."""
    found = observe(random_rows(2, 4), range(4))
    again = from_arrays(as_arrays(found, whole=True))
    for name, seen in found.items():
        for what in ("moment", "sample", "square"):
            np.testing.assert_array_equal(getattr(again[name], what), getattr(seen, what), strict=True)


def test_taken_apart_and_put_together() -> None:
    """The vectors come back as they were; moments and sample are not stored."""
    found = observe(random_rows(2, 4), range(4))
    again = from_arrays(as_arrays(found))
    assert list(found) == list(again)
    for name, seen in found.items():
        for what in ("low", "high", "mean", "square"):
            np.testing.assert_array_equal(getattr(seen, what), getattr(again[name], what))
            assert getattr(seen, what).dtype == getattr(again[name], what).dtype
        assert (seen.tokens, None, None) == (again[name].tokens, again[name].moment, again[name].sample)


@pytest.mark.parametrize("what", ["low", "high", "mean", "square"])
def test_broken_numbers_are_refused(what: str) -> None:
    """A number that is not finite, and a vector that is missing, are no statistics."""
    arrays = as_arrays(observe(random_rows(2, 4), range(4)))
    arrays[f"1.{what}"] = np.full(CHANNELS, np.nan)
    with pytest.raises(ValueError, match="y: not finite"):
        from_arrays(arrays)
    del arrays[f"1.{what}"]
    with pytest.raises(KeyError):
        from_arrays(arrays)
