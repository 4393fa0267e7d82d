"""Kept: the sums of a calibration that is under way, on disk, so that one that was killed goes on with the next row.

Rows are added in a fixed order, so what is seen in the end is the same to the last bit, wherever it was interrupted. A
file has a seal as entries of the cache have (`quantkit.artifact.sealed`), and what is not whole is not believed.
"""

import hmac
import io
import logging
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from quantkit.artifact.sealed import seal_of
from quantkit.errors import OutputError
from quantkit.files import write_bytes
from quantkit.quantization.observe.cache import cached
from quantkit.quantization.observe.statistics import StatisticsObserver
from quantkit.runtime.batching import Batch
from quantkit.runtime.session import Arrays

_SECONDS = 15.0
"""Of calibration that may be lost."""
_SHARE = 20
"""Writing takes no more than a part in so many of the time."""
_MOST_BYTES = 1 << 30
"""Sums that are larger are not kept: they are in memory three times while they are written."""
_LOG = logging.getLogger(__name__)


class KeptSums:
    """The sums of one observer, and their file."""

    def __init__(self, key: str, observer: StatisticsObserver) -> None:
        """Let the observer go on where another was.

        Args:
            key: digest of the model, the rows and the settings.
            observer: has seen nothing yet.
        """
        self._key = f"{key}-{observer.detail.name.lower()}"
        self._path = cached(f"{self._key}-sums.npz")
        self._observer = observer
        self._pause, self._last = _SECONDS, time.monotonic()
        self._written = 0
        self._restore()

    def consuming(self, consume: Callable[[Batch, Arrays], None]) -> Callable[[Batch, Arrays], None]:
        """Return what consumes, and keeps the sums now and then."""

        def consume_and_keep(batch: Batch, outputs: Arrays) -> None:
            consume(batch, outputs)
            if time.monotonic() - self._last >= self._pause:
                self.write()

        return consume_and_keep

    @contextmanager
    def on_interrupt(self) -> Iterator[None]:
        """Keep the sums when Ctrl-C ends the block."""
        try:
            yield
        except KeyboardInterrupt:
            self.write()
            raise

    def write(self) -> None:
        """Keep the sums as they are; a warning where that cannot be done."""
        with self._observer.stopped():
            began = self._last = time.monotonic()
            if self._observer.done <= self._written or self._observer.bytes > _MOST_BYTES:
                return
            content = io.BytesIO()
            np.savez(content, allow_pickle=False, **self._observer.arrays())
            body = content.getvalue()
            try:
                write_bytes(self._path, self._seal(body) + body)
            except OutputError as error:
                _LOG.warning("the calibration cannot be continued if it is interrupted: %s", error)
            self._written = self._observer.done
            self._last = time.monotonic()
            self._pause = max(_SECONDS, _SHARE * (self._last - began))

    def _restore(self) -> None:
        try:
            content = self._path.read_bytes()
            length = len(self._seal(b""))
            body = content[length:]
            if not hmac.compare_digest(content[:length], self._seal(body)):
                return
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                self._observer.restore(arrays)
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
            return
        self._written = self._observer.done

    def _seal(self, body: bytes) -> bytes:
        return seal_of(self._key.encode() + b"\n" + body).encode() + b"\n"


def forget(key: str) -> None:
    """Remove the sums of a calibration: what was made of them is done."""
    folder: Path = cached("any").parent
    for path in folder.glob(f"{key}-*-sums.npz"):
        path.unlink(missing_ok=True)
