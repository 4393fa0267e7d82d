"""Kept: a calibration that was killed goes on with the next row, to the same numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.files import cache_folder
from quantkit.quantization.observe import kept
from quantkit.quantization.observe.kept import KeptSums, forget
from quantkit.quantization.observe.statistics import Detail, Statistics, StatisticsObserver
from quantkit.runtime.batching import Batch

ROWS, WIDTH, KEY = 7, 5, "key"
VECTORS = ("low", "high", "mean", "square", "tokens", "moment", "sample")


class _Killed(Exception):
    """Stands for the end of the process."""


def batches() -> list[Batch]:
    return [Batch(indices=(place,), length=3) for place in range(ROWS)]


def observed(
    first: int = 0, last: int = ROWS, detail: Detail = Detail.MOMENTS
) -> tuple[int, dict[str, Statistics]]:
    """Run rows from the first that is not known, and die before `last`; return how many ran."""
    observer = StatisticsObserver(["a", "b"], batches(), detail=detail)
    sums = KeptSums(KEY, observer)
    consume, ran = sums.consuming(observer.consume), 0
    for batch in batches()[observer.done :]:
        if batch.indices[0] >= last:
            raise _Killed
        generator = np.random.default_rng(batch.indices[0])
        values = generator.standard_normal((1, 3, WIDTH), np.float32)
        consume(batch, (values, values * 3))
        ran += 1
    sums.write()
    assert first == ROWS - ran
    return ran, observer.statistics()


def path_of(detail: Detail = Detail.MOMENTS) -> Path:
    return cache_folder() / "calibration" / f"{KEY}-{detail.name.lower()}-sums.npz"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the sums after every row."""
    monkeypatch.setattr(kept, "_SECONDS", 0.0)
    monkeypatch.setattr(kept, "_SHARE", 0.0)


def same(one: dict[str, Statistics], other: dict[str, Statistics]) -> None:
    assert list(one) == list(other)
    for name, found in one.items():
        for what in VECTORS:
            np.testing.assert_array_equal(getattr(found, what), getattr(other[name], what), err_msg=what)


@pytest.mark.parametrize("detail", list(Detail))
def test_it_goes_on_with_the_next_row(detail: Detail) -> None:
    """Four rows were seen before the process died: three run, and every bit is that of a whole run."""
    _, whole = observed(detail=detail)
    forget(KEY)
    with pytest.raises(_Killed):
        observed(last=4, detail=detail)
    ran, found = observed(first=4, detail=detail)
    assert ran == 3
    same(found, whole)


def test_what_is_whole_runs_nothing() -> None:
    """A search that goes on after its calibration does not calibrate, until it is told to forget."""
    observed()
    ran, _ = observed(first=ROWS)
    forget(KEY)
    again, _ = observed()
    assert (ran, again) == (0, ROWS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-1],
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: b"",
        lambda content: content[72:],
    ],
)
def test_a_changed_byte_is_a_miss(spoil: Callable[[bytes], bytes]) -> None:
    """What can be seen again is not believed."""
    observed()
    path_of().write_bytes(spoil(path_of().read_bytes()))
    assert observed()[0] == ROWS


def test_sums_of_another_calibration_are_none() -> None:
    """A file that was copied or renamed answers for no other rows."""
    observed(detail=Detail.SAMPLE)
    path_of(Detail.SAMPLE).rename(path_of())
    assert observed()[0] == ROWS


def test_the_seal_is_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a secret, sums without its seal are misses."""
    observed()
    monkeypatch.setenv("QUANTKIT_CACHE_KEY", "secret")
    assert observed()[0] == ROWS
    assert observed(first=ROWS)[0] == 0


def test_ctrl_c_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen since the last time is written on the way out."""
    monkeypatch.setattr(kept, "_SECONDS", 1e9)
    observer: Any = StatisticsObserver(["a", "b"], batches(), detail=Detail.MOMENTS)
    sums = KeptSums(KEY, observer)
    values = np.ones((1, 3, WIDTH), np.float32)

    def stop() -> None:
        with sums.on_interrupt():
            sums.consuming(observer.consume)(batches()[0], (values, values))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    other = StatisticsObserver(["a", "b"], batches(), detail=Detail.MOMENTS)
    KeptSums(KEY, other)
    assert other.done == 1
