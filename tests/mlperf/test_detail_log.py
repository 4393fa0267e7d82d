"""A detail log is read as the public checker reads it, and what is no log is an error of one line."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import EvaluationError
from quantkit.mlperf.detail_log import DetailLog

KEYS = st.text(min_size=1, max_size=8)
VALUES = st.one_of(st.integers(), st.booleans(), st.text(), st.lists(st.integers(), max_size=3), st.none())
ENTRIES = st.lists(st.tuples(KEYS, VALUES, st.booleans()), min_size=1, max_size=8)


def line(key: str, value: Any, is_error: bool, *, ascii_only: bool = True) -> str:
    """Return one line of a log."""
    entry = {"key": key, "value": value, "metadata": {"is_error": is_error}}
    return ":::MLLOG " + json.dumps(entry, ensure_ascii=ascii_only)


@given(ENTRIES, st.booleans())
def test_every_entry_is_read(entries: list[tuple[str, Any, bool]], ascii_only: bool) -> None:
    """Of equal keys the first counts, every error is kept, and lines between are passed over."""
    lines = [line(*entry, ascii_only=ascii_only) for entry in entries]
    log = DetailLog.parse("\nnoise\n".join(lines), name="log")
    expected: dict[str, Any] = {}
    for key, value, _ in entries:
        expected.setdefault(key, value)
    assert log.values == expected
    assert [f"{key}: {value}" for key, value, is_error in entries if is_error] == list(log.errors)


@given(
    st.text()
    | st.text().map(lambda text: f":::MLLOG {text}")
    | st.recursive(
        st.integers() | st.text(),
        lambda inner: st.dictionaries(st.sampled_from(["key", "value", "metadata"]), inner),
    ).map(lambda value: f":::MLLOG {json.dumps(value)}")
)
def test_anything_else_is_one_error(text: str) -> None:
    """Whatever a file holds, reading it ends with a log or with EvaluationError."""
    with contextlib.suppress(EvaluationError):
        DetailLog.parse(text, name="log")


@given(ENTRIES, st.data())
def test_accessors_never_raise(entries: list[tuple[str, Any, bool]], data: st.DataObject) -> None:
    """A value of an unexpected type is as if it were not there."""
    names = [
        "result_validity",
        "effective_qsl_rng_seed",
        "result_samples_per_second",
        "early_stopping_latency_ss",
    ]
    named = [(data.draw(st.sampled_from(names)), value, is_error) for _, value, is_error in entries]
    log = DetailLog.parse("\n".join(line(*entry) for entry in named), name="log")
    assert log.valid in (True, False)
    assert all(seed is None or isinstance(seed, int) for seed in log.seeds.values())
    assert log.samples_per_second is None or isinstance(log.samples_per_second, float)
    assert log.early_stopping_ms is None or log.early_stopping_ms != 0


def test_results() -> None:
    """Latencies are in milliseconds; an early stopping estimate of 0 is none."""
    values = {"result_90.00_percentile_latency_ns": 2_500_000, "early_stopping_latency_ss": 0}
    log = DetailLog.parse("\n".join(line(key, value, False) for key, value in values.items()), name="log")
    assert log.latency_ms == {"p90": 2.5}
    assert log.early_stopping_ms is None


@pytest.mark.parametrize("text", ["", "no log\n", ":::MLLOG {\n", ':::MLLOG {"key": 1, "value": 2}'])
def test_no_log(text: str) -> None:
    """A file that holds no entry, or half of one, is refused."""
    with pytest.raises(EvaluationError, match="LoadGen"):
        DetailLog.parse(text, name="log")
