"""LoadGen's log of answers: every sample exactly once, to the last bit; and what a submission shows of it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import EvaluationError
from quantkit.files import sha256_bytes
from quantkit.mlperf.accuracy import Score, accuracy_text, parse_accuracy_text, read_answers, shorten
from quantkit.mlperf.rules import MAX_ACCURACY_LOG

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def entry(index: int, logits: np.ndarray) -> dict[str, object]:
    """Return what LoadGen writes of one answer."""
    return {"seq_id": 0, "qsl_idx": index, "data": logits.astype("<f4").tobytes().hex().upper()}


@given(LENGTHS, st.randoms(use_true_random=False))
def test_every_answer_is_read(lengths: list[int], random: st.random_module) -> None:
    """Answers come back in the order of the samples, bit by bit, in whatever order LoadGen wrote them."""
    expected = [np.random.default_rng(place).normal(size=(size, 2)) for place, size in enumerate(lengths)]
    entries = [entry(place, logits) for place, logits in enumerate(expected)]
    random.shuffle(entries)  # type: ignore[attr-defined]
    found = read_answers(json.dumps(entries).encode(), lengths, name="log")
    for logits, (start, end) in zip(expected, found, strict=True):
        assert logits.astype(np.float32).tolist() == np.stack([start, end], axis=1).tolist()


@given(
    st.binary(max_size=60)
    | st.recursive(st.integers() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_anything_else_is_one_error(content: bytes) -> None:
    """Whatever a file holds, reading it as the answers to one sample ends with EvaluationError."""
    with pytest.raises(EvaluationError, match=r"^log: "):
        read_answers(content, [3], name="log")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "sample 0 was never answered"),
        ([0, 0], "answers sample 0 twice"),
        ([7], "answers sample 7, which there is not"),
        ([-1], "answers sample -1, which there is not"),
    ],
)
def test_lost_and_doubled(entries: list[int], said: str) -> None:
    """A sample that was lost, or answered twice, is an error and no lower score."""
    content = json.dumps([entry(index, np.zeros((2, 2))) for index in entries]).encode()
    with pytest.raises(EvaluationError, match=said):
        read_answers(content, [2, 2], name="log")


def test_answer_of_another_length() -> None:
    """An answer is as long as its sample."""
    content = json.dumps([entry(0, np.zeros((3, 2)))]).encode()
    with pytest.raises(EvaluationError, match="24 bytes for 2 tokens"):
        read_answers(content, [2], name="log")


@given(st.floats(0, 100).map(lambda value: round(value, 10)), st.binary(max_size=40))
def test_accuracy_text(value: float, log: bytes) -> None:
    """The scores are read back unrounded, and the hash is that of the whole log."""
    text = accuracy_text(Score(f1=90.78312612345, exact_match=max(value, 1e-3)), log)
    found, digest = parse_accuracy_text(text)
    assert Score(f1=90.78312612345, exact_match=max(value, 1e-3)) == found
    assert sha256_bytes(log) == digest


@given(st.text())
def test_any_accuracy_text(text: str) -> None:
    """Whatever accuracy.txt holds, reading it raises nothing."""
    parse_accuracy_text(text)
    parse_accuracy_text('{"exact_match": 1.2.3, "f1": 4}\n' + text)


@given(st.integers(0, 4 * MAX_ACCURACY_LOG))
def test_shorten(size: int) -> None:
    """What is shown of a log is 10 KiB at most, its beginning and its end."""
    log = bytes(place % 251 for place in range(size))
    shown = shorten(log)
    assert len(shown) <= MAX_ACCURACY_LOG
    assert log[:4096] == shown[:4096]
    assert log[-4096:] == shown[-4096:]
