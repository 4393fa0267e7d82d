"""A profile is read as it was written, belongs to one CPU, and says which rows share a batch."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import ArtifactError
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.profile import RuntimeProfile


def test_round_trip(tmp_path: Path) -> None:
    """What is written as JSON is read again, all fields."""
    profile = RuntimeProfile(
        instances=3,
        threads=2,
        token_budget=99,
        max_batch=4,
        engine="processes",
        runtime="openvino",
        pinned=True,
    )
    path = tmp_path / "runtime.json"
    path.write_text(json.dumps(profile.as_json()))
    assert RuntimeProfile.read(path) == profile
    assert profile.as_json()["schema"] == "quantkit/runtime/1"


@pytest.mark.parametrize("field", ["instances", "threads", "token_budget", "max_batch"])
def test_numbers_are_checked(tmp_path: Path, field: str) -> None:
    """A number that cannot be is an error that names it."""
    path = tmp_path / "runtime.json"
    path.write_text(json.dumps(RuntimeProfile(instances=1).as_json() | {field: 0}))
    with pytest.raises(ArtifactError, match=field):
        RuntimeProfile.read(path)


def test_default() -> None:
    """The default is one one-thread instance for each core of this CPU, in threads."""
    profile = RuntimeProfile.here()
    assert (profile.instances, profile.threads, profile.engine) == (cpu_facts().cores, 1, "threads")
    assert profile.fits(cpu_facts().as_json())
    assert not profile.fits(cpu_facts().as_json() | {"cores": 1000})
    assert RuntimeProfile(instances=1).fits({"model": "any"})


@given(st.lists(st.integers(1, 50), max_size=60), st.booleans())
def test_batches(lengths: list[int], equal: bool) -> None:
    """Every row is in one batch; with equal lengths no batch is padded."""
    batches = RuntimeProfile(instances=1, token_budget=64, equal_lengths=equal).batches(lengths)
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(lengths)))
    if equal:
        assert sum(batch.tokens for batch in batches) == sum(lengths)
