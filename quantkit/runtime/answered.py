"""Answered: what a model said of each row so far, on disk, so that a run that was killed goes on with the next batch.

Rows are kept in chunks, each one file with a seal (`quantkit.artifact.sealed`) over its key and every byte. A chunk
that is damaged, of another run or of other rows is a miss: its batches run again. A batch runs whole, as it would have,
so the outputs are the same to the last bit, wherever the run was interrupted.
"""

import hmac
import io
import logging
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantkit.artifact.sealed import seal_of
from quantkit.errors import OutputError
from quantkit.files import cache_folder, write_bytes
from quantkit.runtime.batching import Batch
from quantkit.runtime.engine import Engine
from quantkit.runtime.run import Job, complete, rows_of, run_each
from quantkit.runtime.session import Arrays

_SECONDS = 10.0
"""Of answers that may be lost."""
_LOG = logging.getLogger(__name__)


def folder_of(key: str) -> Path:
    """Return where the chunks of a run are."""
    return cache_folder() / "answered" / key


def forget(key: str) -> None:
    """Remove the chunks of a run: what was made of them is kept elsewhere, or is not wanted."""
    shutil.rmtree(folder_of(key), ignore_errors=True)


class Answered:
    """The rows of one run, and their chunks."""

    def __init__(self, key: str, engine: Engine, job: Job) -> None:
        """Read what there is.

        Args:
            key: digest of all that decides the outputs.
            engine: open; says how many outputs there are and which of them are by position.
            job: all rows, in their batches.
        """
        self._key, self._engine, self._job = key, engine, job
        self._lock = threading.Lock()
        self._new: list[int] = []
        self._last = time.monotonic()
        self.found: list[Arrays | None] = [None] * len(job.rows)
        for path in sorted(folder_of(key).glob("*.npz")):
            for index, arrays in self._read(path).items():
                self.found[index] = arrays

    @property
    def rest(self) -> Job:
        """The job, with the batches that have yet to run."""
        whole = [
            batch for batch in self._job.batches if any(self.found[index] is None for index in batch.indices)
        ]
        return replace(self._job, batches=whole)

    def run(self, *, label: str) -> list[Arrays]:
        """Run what is left, and return the outputs of every row; as `run_job` does otherwise."""
        with self._on_interrupt():
            run_each(self._engine, self.rest, self._take, label=label)
        return complete(self.found, self._job)

    def _take(self, batch: Batch, outputs: Arrays) -> None:
        rows = dict(rows_of(self._engine, self._job, batch, outputs))
        with self._lock:
            for index, arrays in rows.items():
                self.found[index] = arrays
            self._new.extend(rows)
            if time.monotonic() - self._last >= _SECONDS:
                self._write()

    @contextmanager
    def _on_interrupt(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            with self._lock:
                self._write()
            raise

    def _write(self) -> None:
        """Write the rows that are new as a chunk; a warning where that cannot be done."""
        self._last = time.monotonic()
        if not self._new:
            return
        rows = [self.found[index] for index in self._new]
        outputs = {
            f"output{place}": np.concatenate([row[place] for row in rows if row is not None])
            if by_position
            else np.stack([row[place] for row in rows if row is not None])
            for place, by_position in enumerate(self._engine.by_position)
        }
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, indices=np.array(self._new), **outputs)
        body = content.getvalue()
        seal = self._seal(body)
        name = seal.decode().strip().rpartition(":")[2][:16]
        try:
            write_bytes(folder_of(self._key) / f"{name}.npz", seal + body)
        except OutputError as error:
            _LOG.warning("the evaluation cannot be continued if it is interrupted: %s", error)
        self._new.clear()

    def _read(self, path: Path) -> dict[int, Arrays]:
        """Return the rows of a chunk; none where it cannot be believed."""
        try:
            content = path.read_bytes()
            length = len(self._seal(b""))
            body = content[length:]
            if not hmac.compare_digest(content[:length], self._seal(body)):
                return {}
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                indices = [int(index) for index in arrays["indices"]]
                outputs = [arrays[f"output{place}"] for place in range(len(self._engine.outputs))]
            return self._cut(indices, outputs)
        except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            return {}

    def _cut(self, indices: list[int], outputs: list[np.ndarray]) -> dict[int, Arrays]:
        """Return row → outputs.

        Raises:
            ValueError: a value is not finite, or there are more or fewer than the rows have.
            IndexError: there is no such row.
        """
        if not all(np.isfinite(output).all() for output in outputs):
            raise ValueError("not finite")
        lengths = [len(self._job.rows[index].input_ids) for index in indices]
        parts = []
        for output, by_position in zip(outputs, self._engine.by_position, strict=True):
            if len(output) != (sum(lengths) if by_position else len(indices)):
                raise ValueError("of other rows")
            parts.append(np.split(output, np.cumsum(lengths)[:-1]) if by_position else list(output))
        return {index: tuple(arrays) for index, *arrays in zip(indices, *parts, strict=True)}

    def _seal(self, body: bytes) -> bytes:
        return seal_of(f"answered\n{self._key}\n".encode() + body).encode() + b"\n"
