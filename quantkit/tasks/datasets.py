"""Datasets by name: where they are found, and how they are proven to be the right ones."""

from pathlib import Path

from quantkit.tasks.task import Dataset


def find(name_or_path: str, data_dir: Path | None = None) -> Path:
    """Return the file of a known dataset, or the path itself."""
    raise NotImplementedError


def load(name_or_path: str, task: str, data_dir: Path | None = None) -> Dataset:
    """Find a dataset and read it with a task."""
    raise NotImplementedError
