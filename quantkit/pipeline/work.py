"""The work folder of a run: one run at a time in it, and a ledger of what each step was made from.

    runs/<recipe>/
        .lock           held while a run is at work
        steps.json      the ledger: step → what it was made from, and what it cost
        01-export/ 02-fused/ 03-int8/

A step's folder exists only when it was made from what the ledger says: before a step starts, its old folder
is removed and the new ingredients are written; then the folder appears whole. So a run that is killed at any
moment leaves either a finished step or none.
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import ValidationError

from quantkit.artifact import Ingredients
from quantkit.artifact.manifest import NAME as MANIFEST
from quantkit.artifact.manifest import REPORTS
from quantkit.errors import UsageError
from quantkit.files import naming_output_errors, sole_user, write_json
from quantkit.partial import partial_folder, remove_abandoned
from quantkit.records.record import Record
from quantkit.strict_json import read_json

LEDGER = "steps.json"
_LOCK = ".lock"


class Entry(Record):
    """One line of the ledger."""

    key: str
    ingredients: Ingredients
    done: bool = False
    seconds: float = 0.0
    peak_memory_bytes: int = 0


class WorkFolder:
    """The folder a recipe runs in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries = _read_ledger(path / LEDGER)

    def entry(self, step: str) -> Entry | None:
        """Return what the ledger says of a step, or None."""
        return self._entries.get(step)

    def write(self, step: str, entry: Entry) -> None:
        """Write a step's line, atomically.

        Raises:
            OutputError: the disk is full, or there is no permission.
        """
        self._entries[step] = entry
        write_json(self.path / LEDGER, {name: line.model_dump() for name, line in self._entries.items()})

    def remove(self, name: str) -> None:
        """Remove a step's folder so that no moment shows it half removed."""
        folder = self.path / name
        if folder.exists():
            with naming_output_errors(folder), partial_folder(folder) as grave:
                os.replace(folder, grave / name)

    @contextlib.contextmanager
    def held(self, made: Collection[str] = ()) -> Iterator[None]:
        """Hold the folder for this run, and clear away what runs that died have left.

        Args:
            made: names of what a run makes here besides the ledger; on the way to anything else may be somebody
                else's work.

        Raises:
            UsageError: another run is at work in it, or it is an artifact.
            OutputError: it cannot be written.
        """
        if (self.path / MANIFEST).is_file():
            raise UsageError(f"{self.path}: is an artifact, not a folder for runs; choose another --work")
        busy = "another run is at work there; wait for it, or choose another --work"
        with sole_user(self.path, _LOCK, busy=busy):
            self._entries = _read_ledger(self.path / LEDGER)
            remove_abandoned(self.path, {LEDGER, *made})
            for name in made:
                remove_abandoned(self.path / name / REPORTS)
            yield


def _read_ledger(path: Path) -> dict[str, Entry]:
    """Read the ledger; one that cannot be read is no ledger, and every step runs again."""
    try:
        content = read_json(path)
        return {name: Entry.model_validate(line) for name, line in content.items()}
    except (FileNotFoundError, NotADirectoryError, ValueError, AttributeError, ValidationError):
        return {}
