"""Other: the progress of another process, which tells of its steps."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from quantkit.progress.tracked import Listener, track

__all__ = ["Bars", "Listener"]


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
