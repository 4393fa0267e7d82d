"""Kept: healed blocks on disk, so that a search that goes on heals and compares no candidate twice.

Weights are float32, as graphs and checkpoints have them.
"""

import io
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from quantkit.errors import OutputError
from quantkit.files import write_bytes
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Narrowed

_LOG = logging.getLogger(__name__)


def as_written(part: Narrowed) -> Narrowed:
    """Return a block with its projection as graphs and checkpoints have it: float32."""
    return Narrowed(
        units=part.units,
        matrix=part.matrix.astype(np.float32),
        bias=part.bias.astype(np.float32),
        error=part.error,
    )


def write_parts(path: Path, parts: Mapping[Block, Narrowed]) -> None:
    """Keep the blocks of a candidate; a warning when that cannot be done."""
    arrays: dict[str, np.ndarray] = {"slots": np.array([block.slot for block in parts])}
    for place, part in enumerate(parts.values()):
        arrays |= {
            f"{place}.units": part.units,
            f"{place}.matrix": part.matrix,
            f"{place}.bias": part.bias,
            f"{place}.error": np.asarray(part.error),
        }
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    try:
        write_bytes(path, content.getvalue())
    except OutputError as error:
        _LOG.warning("the candidate will be healed again if the search is interrupted: %s", error)


def read_parts(path: Path, blocks: Sequence[Block]) -> dict[Block, Narrowed] | None:
    """Return the blocks that were kept; None when there are none, or the file is broken or of other blocks."""
    known = {block.slot: block for block in blocks}
    try:
        # A file of a single array is no mapping: TypeError.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            found = {
                known[slot]: Narrowed(
                    units=arrays[f"{place}.units"],
                    matrix=arrays[f"{place}.matrix"],
                    bias=arrays[f"{place}.bias"],
                    error=float(arrays[f"{place}.error"]),
                )
                for place, slot in enumerate(arrays["slots"].tolist())
            }
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if all(_fits(block, part) for block, part in found.items()) else None


def _fits(block: Block, part: Narrowed) -> bool:
    return (
        part.units.ndim == 1
        and part.matrix.shape == (len(part.units) * block.size, block.hidden)
        and part.bias.shape == (block.hidden,)
        and bool(np.isfinite(part.matrix).all() and np.isfinite(part.bias).all())
    )
