"""The cache of calibration: what was seen of the same model on the same rows is not looked at again."""

import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from quantkit.errors import OutputError
from quantkit.files import cache_folder, digest_of, write_json, write_stream
from quantkit.quantization.observe.range import Range
from quantkit.quantization.observe.statistics import Statistics, as_arrays, from_arrays
from quantkit.runtime.cpu import cpu_facts
from quantkit.strict_json import read_json

_LOG = logging.getLogger(__name__)


def cached(name: str) -> Path:
    """Return where a file of this name is kept."""
    return cache_folder() / "calibration" / name


def calibration_key(model_digest: str, data_digest: str, settings: dict[str, object]) -> str:
    """Return the digest that the cache compares: model, data, settings, and the CPU whose kernels ran."""
    return digest_of(
        {"model": model_digest, "data": data_digest, "settings": settings, "cpu": cpu_facts().kernels_json()}
    )


def read_ranges(path: Path, key: str, names: Sequence[str]) -> dict[str, Range] | None:
    """Return the cached ranges; None when there are none, or the file is broken or of another calibration."""
    try:
        content = read_json(path)
        if content["key"] != key:
            return None
        found = {name: Range(**content["ranges"][name]) for name in names}
        return found if all(entry.possible for entry in found.values()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_statistics(path: Path, names: Sequence[str]) -> dict[str, Statistics] | None:
    """Return the cached statistics; None when there are none, or the file is broken or of other tensors."""
    try:
        # A file of a single array is no mapping: TypeError.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = from_arrays(arrays)
        return {name: found[name] for name in names}
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def write_statistics(path: Path, statistics: Mapping[str, Statistics]) -> None:
    """Keep statistics, less moments and sample; a warning when that cannot be done."""
    arrays = as_arrays(statistics)
    try:
        write_stream(path, lambda stream: np.savez(stream, allow_pickle=False, **arrays))
    except OutputError as error:
        _LOG.warning("the calibration is not cached: %s", error)


def write_ranges(path: Path, key: str, ranges: Mapping[str, Range]) -> None:
    """Keep ranges; a warning when that cannot be done."""
    content = {name: found.as_json() for name, found in ranges.items()}
    try:
        write_json(path, {"key": key, "ranges": content})
    except OutputError as error:
        _LOG.warning("the calibration is not cached: %s", error)
