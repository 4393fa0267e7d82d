"""Arrays come out of shared memory as they went in, in another process too."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from quantkit.runtime.shared_block import SharedBlock

ARRAYS = hnp.arrays(
    st.sampled_from([np.int64, np.int32, np.float32, np.uint8, np.bool_]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
    elements=st.integers(0, 1),
)


@given(st.lists(st.lists(ARRAYS, max_size=4), min_size=1, max_size=4))
def test_round_trip(writes: list[list[NDArray[np.generic]]]) -> None:
    """What is written last is read, by whoever has the descriptor, however the block grew."""
    ours = SharedBlock.new()
    theirs = SharedBlock(os.dup(ours.descriptor))
    for arrays in writes:
        places = ours.write(arrays)
        for array, view in zip(arrays, theirs.views(places), strict=True):
            assert (view.dtype, view.shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(view, array)
    ours.close()
    theirs.close()


def test_both_sides_grow() -> None:
    """An answer larger than the question makes the block grow on the other side, and is read on this one."""
    ours = SharedBlock.new()
    theirs = SharedBlock(os.dup(ours.descriptor))
    (question,) = theirs.views(ours.write([np.arange(3)]))
    answer = np.arange(100_000.0)
    (found,) = ours.views(theirs.write([answer]))
    np.testing.assert_array_equal(found, answer)
    # The old view still stands on memory that is there.
    assert question.shape == (3,)
    ours.close()
    theirs.close()


def test_views_are_no_copies() -> None:
    """A view shows what is written later: nothing was copied."""
    block = SharedBlock.new()
    places = block.write([np.zeros(8, np.int64)])
    (view,) = block.views(places)
    assert not view.flags.owndata
    block.write([np.ones(8, np.int64)])
    np.testing.assert_array_equal(view, np.ones(8))
    block.close()


def test_closed_descriptor() -> None:
    """Closing gives the descriptor back."""
    block = SharedBlock.new()
    descriptor = block.descriptor
    block.close()
    block.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
