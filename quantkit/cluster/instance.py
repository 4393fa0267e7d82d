"""One instance of the engine on a node of a Ray cluster: opens a model, then answers batch after batch.

It runs as an actor, so nothing here knows the driver's files, and everything it needs comes with its calls: a file of
the model is read where it lies when the node sees the same bytes at the same path, and else as it arrives in pieces.
Either way its sha256 is checked before it is opened.
"""

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import QuantkitError
from quantkit.files import sha256_file
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.session import SessionOptions
from quantkit.runtime.sessions import Reduction, Running, open_session, told


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """A file of the model: its name beside the graph, where the driver has it, its size and its sha256."""

    name: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """What an instance opens; the first of `files` is the graph, and versions of `packages` decide what comes out."""

    files: tuple[ModelFile, ...]
    outputs: tuple[str, ...]
    runtime: str
    threads: int
    options: SessionOptions
    name: str
    packages: tuple[str, ...] = ("quantkit", "numpy")
    reduction: Reduction | None = None


class RayInstance:
    """The actor: `describe`, `receive` for every piece when `sees` says no, `open`, then `run` again and again."""

    def __init__(self) -> None:
        """Begin with no model."""
        self._folder: Path | None = None
        self._session: Running | None = None
        self._reduction: Reduction | None = None

    def describe(self, packages: tuple[str, ...]) -> dict[str, Any]:
        """Return what decides the last digits of a result here: kernels and versions; and who answers."""
        import ray

        return {
            "kernels": cpu_facts().kernels_json(),
            "tools": version_facts(packages),
            "node": ray.get_runtime_context().get_node_id(),
            "machine": _machine(),
            "pid": os.getpid(),
        }

    def sees(self, files: tuple[ModelFile, ...]) -> bool:
        """Tell whether this node has the very same files at the driver's paths."""
        return all(_is_same(Path(file.path), file) for file in files)

    def receive(self, name: str, piece: NDArray[np.uint8]) -> None:
        """Add the next piece to a file of the model."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="quantkit-ray-"))
        with (self._folder / name).open("ab") as file:
            file.write(piece.data)

    def places(self, opening: Opening) -> tuple[list[Path], str]:
        """Return where the files of the model are here, and what is wrong with them, if anything."""
        own = self._folder
        places = [Path(file.path) if own is None else own / file.name for file in opening.files]
        for place, file in zip(places, opening.files, strict=True):
            if not _is_same(place, file):
                return places, f"{file.name} did not arrive as it was sent (sha256 differs)"
        return places, ""

    def open(self, opening: Opening) -> dict[str, Any]:
        """Open the model; return its outputs, or what is wrong with it."""
        own = self._folder
        places, broken = self.places(opening)
        try:
            if broken:
                return {"broken": broken}
            self._session = open_session(
                opening.runtime,
                places[0],
                outputs=opening.outputs,
                threads=opening.threads,
                options=opening.options,
                name=opening.name,
            )
        except QuantkitError as error:
            return {"mistake": [type(error).__name__, str(error)]}
        finally:
            # An open session needs no file: what it has mapped of it stays.
            if own is not None:
                shutil.rmtree(own, ignore_errors=True)
        self._reduction = opening.reduction
        return {"outputs": self._session.outputs, "by_position": self._session.by_position}

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Run one batch; return its outputs, or what came of them, or why it cannot be run."""
        return told(lambda: self._run(feeds))

    def _run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        assert self._session is not None
        started = time.perf_counter()
        outputs = self._session.run(feeds)
        ran = time.perf_counter() - started
        return {
            "outputs": outputs if self._reduction is None else self._reduction(feeds, outputs),
            "ran": ran,
        }


def _machine() -> str:
    """Return what nodes have in common that are on one machine, in containers too."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


def version_facts(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of installed packages; those that are missing are `missing`."""
    return {name: _version(name) for name in packages}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _is_same(path: Path, file: ModelFile) -> bool:
    try:
        return path.stat().st_size == file.size and sha256_file(path) == file.sha256
    except OSError:
        return False
