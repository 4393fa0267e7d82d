"""Progress on stderr: a bar with rate and time left on a terminal, nothing anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from quantkit.printable import one_line

Listener = Callable[[str, int, str, int], None]
"""Is told of a step: the arguments of `track`, and the number of units just done."""
_listeners: list[Listener] = []


def tell(listener: Listener) -> None:
    """Tell somebody of every step from now on, in place of showing it: a process whose parent shows it."""
    _listeners[:] = [listener]


class Bars:
    """Shows what the listener of another process was told: one bar at a time."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._shown = ExitStack()
        self._what: Any = None
        self._advance: Callable[[int], None] = lambda _: None

    def advance(self, what: str, total: int, unit: str, count: int) -> None:
        """Show a step."""
        if (what, total, unit) != self._what:
            self.close()
            self._advance = self._shown.enter_context(track(what, total, unit))
            self._what = (what, total, unit)
        self._advance(count)

    def close(self) -> None:
        """Take the bar away."""
        self._shown.close()
        self._what = None

    def __enter__(self) -> "Bars":
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Take the bar away."""
        self.close()


class Advance(Protocol):
    """What is called as work goes on."""

    def __call__(self, count: int, note: str = "") -> None:
        """Tell of so many units that were just done, and what the bar shall say beside its label."""


def _in_silence(count: int, note: str = "") -> None:
    del count, note


@contextmanager
def track(what: str, total: int, unit: str = "") -> Iterator[Advance]:
    """Show progress while the block runs; the yielded function is called with the number of units just done.

    Args:
        what: the label, such as "evaluate".
        total: the number of units in all.
        unit: the unit's name for the rate, such as "questions".
    """
    if _listeners:

        def pass_on(count: int, note: str = "") -> None:
            _listeners[0](f"{what}: {note}" if note else what, total, unit, count)

        yield pass_on
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _in_silence
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(one_line(what), total=total, rate="")

        def advance(count: int, note: str = "") -> None:
            progress.advance(task, count)
            if note:
                progress.update(task, description=one_line(f"{what}: {note}"))
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{speed:.1f} {unit}/s" if speed else "")

        yield advance
