"""Live: the page of a search while it runs, written again whenever there is something new to see."""

import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from quantkit.errors import OutputError, UsageError
from quantkit.files import write_text
from quantkit.partial import remove_abandoned
from quantkit.progress import standing
from quantkit.records import ShapeSearch
from quantkit.report.pages.running import Running
from quantkit.report.pages.shapes import shapes_page

_LOG = logging.getLogger(__name__)


class LivePage:
    """One file. A search is not lost for want of it: where it cannot be written, one warning says so."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        """Write nothing yet.

        Args:
            path: of the file.
            say: tells the user.
        """
        self.path = path
        self._say = say
        self._last: ShapeSearch | None = None
        self._warned = False

    def begin(self) -> None:
        """Tell where the page will be, and clear away what a killed search has left on the way to it."""
        remove_abandoned(self.path.parent, {self.path.name})
        self._say(f"{self.path}: shows the search while it runs, from the first candidate on")

    def write(self, report: ShapeSearch) -> None:
        """Show what is known by now."""
        self._last = report
        self._write(over=False)

    def close(self) -> None:
        """Say, where the page was written, that the search ended before it was done; it is not loaded again."""
        self._write(over=True)

    def remove(self) -> None:
        """Remove it: the report of the search that is done is in its place."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _write(self, *, over: bool) -> None:
        if self._last is None:
            return
        phase, share = standing() or ("", 0.0)
        running = Running(at=datetime.now(UTC).astimezone(), phase=phase, share=share, over=over)
        try:
            write_text(self.path, shapes_page(self._last, running))
        except (UsageError, OutputError, OSError) as error:
            if not self._warned:
                _LOG.warning("the page of the running search is not written: %s", error)
            self._warned = True
