"""Lines: progress where there is no terminal, such as a job's log: at first soon, then less and less often."""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from quantkit.printable import one_line
from quantkit.progress.work import Work

HOW = "QUANTKIT_PROGRESS"
"""The variable that says how progress is shown: `bar`, `lines` or `off`."""
WAYS = ("bar", "lines", "off")
_FIRST, _MOST, _GROWTH = 2.0, 60.0, 1.6
"""Seconds of silence: before the first line, at most, and how they grow."""
_LOOK = 0.25
_LOG = logging.getLogger(__name__)
_speaking = False


def speak() -> None:
    """Print lines from now on where there is no terminal: a command does, a library in somebody's program does not."""
    global _speaking  # noqa: PLW0603 - of the process, as stderr is
    _speaking = True
    asked = os.environ.get(HOW)
    if asked and asked not in WAYS:
        _LOG.warning("$%s: %r is none of %s, and changes nothing", HOW, asked, ", ".join(WAYS))


def spoken() -> bool:
    """Tell whether lines are printed where there is no terminal."""
    asked = os.environ.get(HOW)
    return asked == "lines" if asked in WAYS else _speaking


@contextmanager
def in_lines(work: Work) -> Iterator[None]:
    """Print a line now and then while the block runs."""
    over = threading.Event()
    thread = threading.Thread(target=_speak, args=(work, over), name="quantkit-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def line_of(work: Work) -> str:
    """Return what a line says."""
    told = [one_line(work.label), work.numbers, clock(work.left)]
    return ", ".join(word for word in told if word)


def clock(seconds: float | None) -> str:
    """Return the time that is left in words, none where it is not known."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left"


def _speak(work: Work, over: threading.Event) -> None:
    silence, last, said, line = _FIRST, time.monotonic(), "", ""
    while not over.wait(_LOOK):
        phase, now, told = work.phase, time.monotonic(), line_of(work)
        # What is new is told soon, what goes on less and less often, and the same words once in the longest silence.
        if now - last >= (_FIRST if phase != said else _MOST if told == line else silence):
            with suppress(OSError, ValueError):
                sys.stderr.write(f"{told}\n")
                sys.stderr.flush()
            silence = _FIRST if phase != said else min(_MOST, silence * _GROWTH)
            last, said, line = now, phase, told
