"""One worker on a node of a Ray cluster: is given a place to work in once, then errand after errand."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from quantkit.cluster.instance import Opening, RayInstance
from quantkit.errors import QuantkitError
from quantkit.partial import partial_folder
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.sessions import told


class Kit(Protocol):
    """What a worker needs for its errands beside the model; it is pickled."""

    def begin(self, model: Path) -> Any:
        """Return what errands are done with; the file is gone afterwards.

        Raises:
            QuantkitError: the model cannot be opened.
        """

    def do(self, begun: Any, errand: Any) -> Any:
        """Do one errand, and return what came of it.

        Raises:
            QuantkitError: it is the user's mistake.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace(Opening):
    """What a worker opens."""

    kit: Kit


class RayWorker(RayInstance):
    """The actor: what an instance is until `open`; then `take`, and `do` again and again."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self._kit: Kit | None = None
        self._begun: Any = None

    def open(self, opening: Opening) -> dict[str, Any]:
        """Begin with the model; return no outputs, or what is wrong with it."""
        assert isinstance(opening, Workplace)
        places, broken = self.places(opening)
        try:
            if broken:
                return {"broken": broken}
            self._kit, self._begun = opening.kit, opening.kit.begin(places[0])
        except QuantkitError as error:
            return {"mistake": [type(error).__name__, str(error)]}
        finally:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
        return {"outputs": (), "by_position": ()}

    def take(self, place: int, threads: int) -> None:
        """Work on so many cores from now on: those of this place among the workers of the machine."""
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            mine = {cores[(place * threads + number) % len(cores)] for number in range(threads)}
            os.sched_setaffinity(0, mine)
            cpu_facts.cache_clear()

    def do(self, errand: Any) -> dict[str, Any]:
        """Do an errand; return what it `gave`, or why it cannot be done (see `told`)."""
        return told(lambda: {"gave": self._done(errand)})

    def _done(self, errand: Any) -> Any:
        assert self._kit is not None
        with _cleared():
            return self._kit.do(self._begun, errand)


@contextmanager
def _cleared() -> Iterator[None]:
    """Put all that is temporary into one folder while the block runs, and clear away what killed workers left."""
    with partial_folder(Path(tempfile.gettempdir(), "quantkit-worker")) as folder:
        before, tempfile.tempdir = tempfile.tempdir, os.fspath(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
