"""The soak notices what is lost, doubled or wrong, and memory that grows."""

import sys
from collections.abc import Iterator
from concurrent.futures import Future
from types import ModuleType

import numpy as np
import pytest
from scripts import load_script


@pytest.fixture
def soak() -> Iterator[ModuleType]:
    """Return benchmarks/soak.py as a module."""
    yield load_script("benchmarks/soak.py")
    del sys.modules["soak"]


def answered(value: float) -> Future[tuple[np.ndarray, ...]]:
    """Return a future that holds one array."""
    future: Future[tuple[np.ndarray, ...]] = Future()
    future.set_result((np.full(3, value),))
    return future


def test_every_answer_is_counted(soak: ModuleType) -> None:
    """A second answer, a wrong one and an error are all seen."""
    tally = soak.Tally(expected=[(np.zeros(3),)])
    tally.take(0, 0, answered(0.0))
    tally.take(1, 0, answered(0.0))
    tally.take(1, 0, answered(0.0))
    tally.take(2, 0, answered(1.0))
    failed: Future[tuple[np.ndarray, ...]] = Future()
    failed.set_exception(ValueError("lost"))
    tally.take(3, 0, failed)
    assert dict(tally.answers) == {0: 1, 1: 2, 2: 1, 3: 1}
    assert (tally.wrong, tally.errors) == (1, ["lost"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([100.0] * 30, True), ([float(100 + 3 * second) for second in range(30)], False), ([200.0], True)],
)
def test_flat(soak: ModuleType, values: list[float], expected: bool) -> None:
    """Memory that rises by 3 MB a second is not flat, and constant memory is."""
    assert soak.flat(values) is expected
