"""Healed blocks on disk: as they were, or not at all."""

from pathlib import Path

import numpy as np
import pytest

from quantkit.shapes.blocks import Block
from quantkit.shapes.kept import as_written, read_parts, write_parts
from quantkit.shapes.order import Narrowed

BLOCKS = [
    Block(layer=0, kind="attention", path="l.0", units=4, size=2, hidden=6),
    Block(layer=0, kind="feed_forward", path="l.0", units=5, size=1, hidden=6),
]


def part(units: int, size: int) -> Narrowed:
    random = np.random.default_rng(units)
    return as_written(
        Narrowed(
            units=np.arange(units),
            matrix=random.standard_normal((units * size, 6)),
            bias=random.standard_normal(6),
            error=0.25,
        )
    )


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """To the last bit, a missing block too."""
    parts = {BLOCKS[0]: part(3, 2), BLOCKS[1]: part(0, 1)}
    write_parts(tmp_path / "one.npz", parts)
    found = read_parts(tmp_path / "one.npz", BLOCKS)
    assert found is not None
    assert list(found) == BLOCKS
    for block, one in found.items():
        for what in ("units", "matrix", "bias", "error"):
            np.testing.assert_array_equal(getattr(one, what), getattr(parts[block], what), strict=True)


@pytest.mark.parametrize("how", ["absent", "cut", "text", "other blocks", "other widths"])
def test_what_does_not_fit_is_nothing(how: str, tmp_path: Path) -> None:
    """A file that is missing, broken or of another teacher is made again."""
    path = tmp_path / "one.npz"
    if how == "other blocks":
        other = Block(layer=7, kind="attention", path="l.7", units=4, size=2, hidden=6)
        write_parts(path, {other: part(3, 2)})
    elif how == "other widths":
        write_parts(path, {BLOCKS[0]: part(3, 1)})
    elif how != "absent":
        write_parts(path, {BLOCKS[0]: part(3, 2)})
        path.write_bytes(path.read_bytes()[:100] if how == "cut" else b"no zip")
    assert read_parts(path, BLOCKS) is None
