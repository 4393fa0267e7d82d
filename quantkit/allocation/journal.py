"""Journal: what a search has measured, so that one that was interrupted goes on where it was.

One JSON line for each measurement, in the user's cache, under a key of all that decides the results. What a
measurement is of and what it found are plain JSON; the key and both are the client's. Lines that cannot be read, and
those that name another key, are measured again: a file that was copied or renamed answers for no other search.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from quantkit.errors import OutputError
from quantkit.files import cache_folder, digest_of, naming_output_errors
from quantkit.strict_json import parse_json

_LOG = logging.getLogger(__name__)


class Journal:
    """Measurements by what was measured."""

    def __init__(self, key: str) -> None:
        """Read what there is."""
        self.key = key
        self._lock = threading.Lock()
        self.written: list[dict[str, Any]] = []
        """The lines that were added here, in order."""
        self._counted: set[str] = set()
        self.times: list[float] = []
        """Seconds of each measurement that was asked for here, once each, whenever it was made."""
        self.path: Path = cache_folder() / "search" / f"{key}.jsonl"
        self.folder: Path = self.path.with_suffix("")
        """For what is too large for a line; the client makes it."""
        self._known: dict[str, dict[str, Any]] = {}
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            text = ""
        # A line that was cut off must not take the next one with it.
        self._begin = "\n" if text and not text.endswith("\n") else ""
        for line in text.splitlines():
            try:
                entry = parse_json(line)
                # Lines of older versions name none.
                if entry.get("search", key) == key:
                    self._known[entry["of"]] = entry["found"]
            except (ValueError, KeyError, TypeError, AttributeError):
                # The line that was being written when the search was killed.
                continue

    def knows(self, of: Any) -> bool:
        """Tell whether `of` was measured."""
        return digest_of(of) in self._known

    def take(self, lines: Iterable[dict[str, Any]]) -> None:
        """Add lines that a journal of the same search has `written` elsewhere."""
        for line in lines:
            if line["of"] not in self._known:
                self._known[line["of"]] = line["found"]
                self._append(line)

    def remembered(self, of: Any, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what is known of `of` (plain JSON), or measure it and write it down."""
        key = digest_of(of)
        if key not in self._known:
            self._known[key] = measure()
            self._append({"search": self.key, "of": key, "what": of, "found": self._known[key]})
        return self._known[key]

    def timed(self, of: Any, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the same with the `seconds` that measuring took, whenever that was."""

        def timed() -> dict[str, Any]:
            started = time.monotonic()
            return {**measure(), "seconds": time.monotonic() - started}

        found = self.remembered(of, timed)
        key = digest_of(of)
        if key not in self._counted:
            self._counted.add(key)
            self.times.append(found["seconds"])
        return found

    def _append(self, entry: dict[str, Any]) -> None:
        self.written.append(entry)
        try:
            with self._lock, naming_output_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(self._begin + json.dumps(entry) + "\n")
                self._begin = ""
        except OutputError as error:
            _LOG.warning("the search cannot be continued if it is interrupted: %s", error)
