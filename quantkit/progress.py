"""Progress on stderr: a bar with rate and time left on a terminal, nothing anywhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from quantkit.printable import one_line


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
