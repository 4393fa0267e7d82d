"""What the `tokenizers` library raises becomes one line, a panic of its Rust code too.

A pattern that backtracks for ever, or a special token without an id, is found only when text is encoded, as a
`PanicException`: no Exception, and with a trace of its own on the process's stderr. The trace is kept back when the
main thread encodes; what else was written there meanwhile is not lost.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from quantkit.errors import CheckpointError

_STDERR = 2
_SHOWN = 160


@contextlib.contextmanager
def tokenizer_errors(place: Path, what: str, advice: str) -> Iterator[None]:
    """Turn what the library raises in the block into a `CheckpointError`.

    Args:
        place: the file or folder the tokenizer is from.
        what: is wrong when it raises, such as "is not a tokenizer".
        advice: what to do.

    Raises:
        CheckpointError: it raised.
    """
    with _kept_back() as give:
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # the library raises nothing narrower
            give()
            raise CheckpointError(f"{place}: {what} ({_first_line(error)}); {advice}") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                give()
                raise
            raise CheckpointError(f"{place}: {what} ({_first_line(error)}); {advice}") from None
        else:
            give()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:_SHOWN] if lines else type(error).__name__


@contextlib.contextmanager
def _kept_back() -> Iterator[Callable[[], None]]:
    """Keep what is written to the process's stderr; the yielded function says that it is wanted."""
    wanted: list[bool] = []
    before = None
    if threading.current_thread() is threading.main_thread():
        with contextlib.suppress(OSError):
            before = os.dup(_STDERR)
    if before is None:
        yield lambda: wanted.append(True)
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield lambda: wanted.append(True)
        finally:
            os.dup2(before, _STDERR)
            os.close(before)
            kept.seek(0)
            text = kept.read() if wanted else b""
            if text:
                with contextlib.suppress(OSError):
                    os.write(_STDERR, text)
