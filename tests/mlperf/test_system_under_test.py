"""Queries are answered once each, with their own logits; what goes wrong never reaches LoadGen."""

from collections.abc import Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import EvaluationError
from quantkit.mlperf.samples import Sample, SampleLibrary
from quantkit.mlperf.system_under_test import Answer, SystemUnderTest
from quantkit.runtime.profile import RuntimeProfile

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=20)


class Ended(BaseException):
    """Stands for the end of the process."""


class FakeEngine:
    """Answers a batch with its token ids, and twice those; or fails as told."""

    name = "fake"
    outputs = ("start_logits", "end_logits")
    by_position = (True, True)
    workers = 1

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def submit(self, feeds: Any) -> Future[Any]:
        """Answer at once."""
        if self.fault == "submit":
            raise EvaluationError("broken down")
        ids = feeds["input_ids"].astype(np.float32)
        if self.fault == "nan":
            ids[:] = np.nan
        if self.fault == "shape":
            ids = ids[:, :, None]
        future: Future[Any] = Future()
        if self.fault == "batch":
            future.set_exception(EvaluationError("cannot run"))
        else:
            future.set_result((ids, 2 * ids))
        return future


def system(
    lengths: Sequence[int], fault: str = "", budget: int = 16
) -> tuple[SystemUnderTest, list[Answer], list[BaseException]]:
    """Return a system over samples whose tokens are 100 x index + place, what it answers, and how it fails."""
    samples = [
        Sample(input_ids=100 * index + np.arange(size), token_type_ids=np.zeros(size, np.int64))
        for index, size in enumerate(lengths)
    ]
    answers: list[Answer] = []
    faults: list[BaseException] = []

    def fail(error: BaseException) -> NoReturn:
        faults.append(error)
        raise Ended

    sut = SystemUnderTest(
        FakeEngine(fault),
        SampleLibrary(samples=tuple(samples)),
        profile=RuntimeProfile(instances=1, token_budget=budget),
        pad_id=0,
        answer=answers.extend,
        fail=fail,
    )
    return sut, answers, faults


@given(LENGTHS, st.data())
def test_every_query_is_answered_once(lengths: list[int], data: st.DataObject) -> None:
    """Each id gets the logits of its own sample, unpadded, float32 and contiguous, also when a sample comes twice."""
    asked = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=30))
    sut, answers, _ = system(lengths)
    sut.issue([SimpleNamespace(id=7000 + place, index=index) for place, index in enumerate(asked)])
    assert [7000 + place for place in range(len(asked))] == sorted(number for number, _ in answers)
    assert len(asked) == sut.answered
    for number, logits in answers:
        index = asked[number - 7000]
        ids = 100 * index + np.arange(lengths[index])
        assert np.stack([ids, 2 * ids], axis=1).tolist() == logits.tolist()
        assert (np.float32, True) == (logits.dtype, logits.flags.c_contiguous)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("submit", "broken down"),
        ("batch", "cannot run"),
        ("nan", "NaN or Infinity for sample 0"),
        ("shape", "has shape"),
    ],
)
def test_failures_end_the_process(fault: str, said: str) -> None:
    """An engine that breaks, a batch that fails and logits that are none are told to `fail`, and answered nothing."""
    sut, answers, faults = system([3], fault)
    with pytest.raises(Ended):
        sut.issue([SimpleNamespace(id=1, index=0)])
    assert said in str(faults[0])
    assert answers == []


def test_a_sample_there_is_not() -> None:
    """Also a query for what there is not ends the process in its own way."""
    sut, _, faults = system([3])
    with pytest.raises(Ended):
        sut.issue([SimpleNamespace(id=1, index=5)])
    assert isinstance(faults[0], IndexError)
