"""Bar: progress on a terminal, one line that goes away when the work is done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from quantkit.printable import one_line
from quantkit.progress.lines import HOW, WAYS, clock
from quantkit.progress.work import Work

_WIDTH = 12
_BETWEEN = 4
"""Columns between label, bar and numbers, and one that stays free."""


def on_terminal() -> bool:
    """Tell whether there is a terminal, with somebody before it."""
    from rich.console import Console

    asked = os.environ.get(HOW)
    if asked in WAYS:
        return asked == "bar"
    return Console(stderr=True).is_terminal and os.environ.get("CI", "") in ("", "false", "0")


@contextmanager
def in_bar(work: Work) -> Iterator[None]:
    """Show a bar while the block runs."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
    from rich.text import Text

    class Numbers(ProgressColumn):
        max_refresh = 0.25

        def render(self, task: Task) -> Text:
            return Text(_told(work, task.elapsed), no_wrap=True)

    class Label(ProgressColumn):
        def render(self, task: Task) -> Text:
            task.completed = work.share if work.counted else 0
            label = Text(one_line(work.label), no_wrap=True)
            room = console.width - _WIDTH - _BETWEEN - len(_told(work, task.elapsed))
            label.truncate(max(1, room), overflow="ellipsis")
            return label

    console = Console(stderr=True)
    first = BarColumn(bar_width=_WIDTH) if work.counted else SpinnerColumn("line")
    with Progress(Label(), first, Numbers(), console=console, transient=True) as progress:
        progress.add_task("", total=1)
        yield


def _told(work: Work, seconds: float | None) -> str:
    """Return what stands beside the bar."""
    passed = f"{seconds:.0f} s" if seconds and not work.counted else ""
    return " ".join(word for word in (work.numbers, work.pace, clock(work.left), passed) if word)
