"""Calibration sets: named, frozen selections of examples."""

from dataclasses import dataclass
from pathlib import Path

from quantkit.tasks.task import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationSet:
    """A named, frozen selection of examples.

    Attributes:
        name: how it was asked for.
        dataset: only the chosen examples.
        source_digest: sha256 of the file they were chosen from.
    """

    name: str
    dataset: Dataset
    source_digest: str

    @property
    def ids(self) -> tuple[str, ...]:
        """The chosen ids, in order."""
        return tuple(example.id for example in self.dataset.examples)


def select(
    name_or_path: str, task: str, count: int | None = None, data_dir: Path | None = None, seed: int = 0
) -> CalibrationSet:
    """Return the calibration set of this name, or one sampled from a file."""
    raise NotImplementedError
