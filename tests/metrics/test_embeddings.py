"""Embeddings of two models compared."""

import numpy as np
import pytest

from quantkit.metrics.embeddings import (
    cosine,
    first_changed,
    mean_cosine,
    nearest,
    overlap,
    packed,
    unpacked,
)


def unit(rows: int, hidden: int, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, hidden)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_packing_hardly_turns_an_embedding() -> None:
    """8 bits for each number keep the direction to 1e-4 of a cosine, and the length is 1."""
    for row in unit(20, 384):
        back = unpacked(packed(3 * row))
        assert cosine(row, back) > 1 - 1e-4
        assert np.linalg.norm(back) == pytest.approx(1, abs=1e-6)
    np.testing.assert_array_equal(unpacked(packed(np.zeros(4, np.float32))), np.zeros(4))


@pytest.mark.parametrize("text", ["", "not base64!", "AAA"])
def test_what_is_no_embedding_is_refused(text: str) -> None:
    """A text that `packed` did not write is an error, not an embedding."""
    with pytest.raises(ValueError, match=r"."):
        unpacked(text)


def test_shuffled_channels_keep_neighbours_and_turn_every_embedding() -> None:
    """Why neighbours alone do not do: an index made by the other model would find nothing."""
    found = unit(60, 32)
    shuffled = found[:, np.random.default_rng(1).permutation(32)]
    assert overlap(nearest(found), nearest(shuffled)) == 1
    assert first_changed(nearest(found), nearest(shuffled)) == 0
    assert mean_cosine(found, shuffled) < 0.2


def test_a_shared_offset_hides_lost_neighbours_from_the_cosine() -> None:
    """Why the cosine alone does not do: texts that are all alike keep it when what tells them apart is lost."""
    common = np.ones(32, np.float32)
    one, other = (common + 0.5 * unit(60, 32, seed) for seed in (0, 1))
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other))
    assert mean_cosine(one, other) > 0.99
    assert overlap(nearest(one), nearest(other)) < 0.4


def test_the_nearest_are_in_order_and_never_the_text_itself() -> None:
    """Of points on an arc the neighbours are those beside it."""
    angles = np.array([0.0, 0.1, 0.3, 0.7], np.float32)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert nearest(points, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
