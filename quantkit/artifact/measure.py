"""What a stage cost and where it ran: wall time, peak memory, tool versions."""

import contextlib
import importlib.metadata
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import quantkit
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.manifest import StageRecord


def tool_versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of quantkit, Python and the named packages; absent ones are left out."""
    versions = {
        "quantkit": quantkit.__version__,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


@dataclass(kw_only=True, slots=True)
class Stopwatch:
    """Wall time and peak memory of a block, to be put into a `StageRecord`."""

    started: float = field(default_factory=time.perf_counter)

    def record(
        self,
        stage: str,
        *,
        ingredients: Ingredients | None = None,
        settings: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
        cpu: dict[str, Any] | None = None,
    ) -> StageRecord:
        """Return the record of the stage that ends now. Peak memory is since `measuring` began.

        Args:
            stage: its name.
            ingredients: all that decided what was made: the record gets their key and their tools.
            settings: as they were given, or as the stage resolved them.
            facts: what was found.
            cpu: where it matters.
        """
        return StageRecord(
            stage=stage,
            key=ingredients.key(stage) if ingredients else "",
            settings=settings or {},
            facts=facts or {},
            seconds=round(time.perf_counter() - self.started, 3),
            peak_memory_bytes=peak_memory(),
            tools=ingredients.tools if ingredients else tool_versions(),
            cpu=cpu or {},
        )


@contextlib.contextmanager
def measuring() -> Iterator[Stopwatch]:
    """Start the clock, and start the kernel's peak-memory counter anew where it lets us (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    yield Stopwatch()


def peak_memory() -> int:
    """Return the peak resident memory in bytes: since the last `measuring` on Linux, of the process elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
