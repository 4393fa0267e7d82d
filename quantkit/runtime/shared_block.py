"""Memory that two processes see: arrays are written once, and read where they lie.

A block is a file without a name (`memfd_create`), handed from process to process as an open descriptor. So there is
nothing to unlink: when the last process that has it ends, however it ends, the memory is gone.

Imported by the processes of the engine: nothing heavy belongs here.
"""

import mmap
import os
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = tuple[str, list[int], int]
"""Where an array lies: dtype as numpy writes it (`<i8`), shape, offset in bytes."""

# Arrays begin on a cache line, which is as much as any vector instruction asks for.
_ALIGNMENT = 64
_PAGE = mmap.ALLOCATIONGRANULARITY


class SharedBlock:
    """A block of shared memory that grows when it must. Both processes may grow it; they take turns."""

    def __init__(self, descriptor: int) -> None:
        """Map a block by its open file descriptor, which the block closes."""
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None

    @classmethod
    def new(cls) -> "SharedBlock":
        """Return an empty block."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("quantkit"))
        with tempfile.TemporaryFile(prefix="quantkit-") as file:
            return cls(os.dup(file.fileno()))

    @property
    def size(self) -> int:
        """How many bytes are mapped here."""
        return len(self._map) if self._map is not None else 0

    def write(self, arrays: Iterable[NDArray[Any]]) -> list[Place]:
        """Copy arrays into the block, over what it held, and return where they lie.

        Raises:
            OSError: there is no memory left.
        """
        given = list(arrays)
        places: list[Place] = []
        end = 0
        for array in given:
            places.append((array.dtype.str, list(array.shape), end))
            end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
        self._reserve(end)
        for array, view in zip(given, self.views(places), strict=True):
            view[...] = array
        return places

    def views(self, places: Iterable[Place]) -> list[NDArray[Any]]:
        """Return the arrays where they lie; they change when the block is written again."""
        found = []
        for dtype, shape, offset in places:
            count = int(np.prod(shape, dtype=np.int64))
            if count == 0:
                found.append(np.zeros(shape, dtype))
                continue
            self._map_to(offset + count * np.dtype(dtype).itemsize)
            # A mapping that grew is another one; the old lives as long as an array looks at it.
            found.append(np.frombuffer(self._map or b"", dtype, count, offset).reshape(shape))
        return found

    def close(self) -> None:
        """Let go of the memory; arrays that look at it keep it until they go."""
        self._map = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _reserve(self, size: int) -> None:
        if size > self.size and size > os.fstat(self.descriptor).st_size:
            # Doubled, so that a block grows a few times and not with every longer batch.
            os.ftruncate(self.descriptor, -(-max(size, 2 * self.size) // _PAGE) * _PAGE)
        self._map_to(size)

    def _map_to(self, size: int) -> None:
        if size > self.size:
            self._map = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
