"""The sample library goes from process to process unchanged."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quantkit.mlperf.samples import Sample, SampleLibrary

ROWS = st.lists(st.lists(st.integers(0, 2**31), min_size=1, max_size=6), min_size=1, max_size=6)


@given(ROWS)
def test_round_trip(rows: list[list[int]]) -> None:
    """Every sample keeps its index, its length and its tokens."""
    samples = [Sample(input_ids=np.array(row), token_type_ids=np.arange(len(row))) for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.npz"
        SampleLibrary.of(samples).save(path)
        found = SampleLibrary.load(path)
    assert rows == [sample.input_ids.tolist() for sample in found.samples]
    assert [list(range(len(row))) for row in rows] == [s.token_type_ids.tolist() for s in found.samples]
    assert len(rows) == len(found)
