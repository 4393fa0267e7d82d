"""Running: what a page says of work that goes on while somebody reads it."""

from dataclasses import dataclass
from datetime import datetime

REFRESH_SECONDS = 30
"""After which a page of what still runs loads itself again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """Work that goes on, or ended before it was done.

    Attributes:
        at: when this was so; with a time zone.
        phase: what runs; empty where it is not known.
        share: of the whole that is done, 0 to 1.
        over: it ended before it was done, and the page is not written again.
    """

    at: datetime
    phase: str = ""
    share: float = 0.0
    over: bool = False

    def told(self, what: str) -> str:
        """Return the line for readers; `what` is the work's name, such as "search"."""
        time = f"{self.at:%Y-%m-%d %H:%M:%S %z}"
        doing = f": {self.phase}, {100 * self.share:.0f} % of the whole done" if self.phase else ""
        if self.over:
            return f"This {what} ended before it was done, at {time}{doing}. The same command goes on from there."
        return f"This {what} is still running, as of {time}{doing}. This page loads itself again."
