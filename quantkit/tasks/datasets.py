"""Datasets by name: where they are found, and how they are proven to be the right ones.

A known file is looked for under `--data-dir`, under `$QUANTKIT_DATA`, and in the user's cache, each time by
its file name directly or in a folder named after the dataset; then it is downloaded into the cache. Wherever
it comes from, its sha256 must be the pinned one.
"""

import dataclasses
import difflib
import os
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from quantkit.errors import DatasetError
from quantkit.files import cache_folder, digest_of, sha256_bytes, sha256_file, write_bytes
from quantkit.pinned import DATASETS, KnownFile, own_name
from quantkit.progress import track
from quantkit.tasks import Dataset, Task
from quantkit.tasks import task as task_named

_SECONDS = 30  # without a byte, until a download is given up
_RETRIES = 3
_CHUNK = 1 << 16


def find(name_or_path: str, data_dir: Path | None = None) -> Path:
    """Return the file of a dataset.

    Args:
        name_or_path: a name of `DATASETS`, else the path of a file, which may say what its columns are
            (`file_and_columns`). A name wins over a file of that name (`./squad`).
        data_dir: looked into first.

    Raises:
        DatasetError: there is no such name or file, the bytes are not the pinned ones, or it cannot be
            downloaded.
    """
    known = DATASETS.get(name_or_path)
    if known is None:
        return _existing(file_and_columns(name_or_path)[0])
    if isinstance(known.source, Path):
        if not known.source.is_file():
            raise DatasetError(
                f"{known.source}: the file is missing from this installation; install quantkit again"
            )
        return known.source
    return find_known(known.source, data_dir)


def content_digest(name_or_path: str) -> str:
    """Return the sha256 of a dataset's bytes, wherever they are: of a public file the pinned one, unread.

    Raises:
        DatasetError: there is no such name or file.
    """
    known = DATASETS.get(name_or_path)
    if known is not None and isinstance(known.source, KnownFile):
        return known.source.sha256
    return sha256_file(find(name_or_path))


def load(name_or_path: str, task: str, data_dir: Path | None = None) -> Dataset:
    """Find a dataset and read it; a file is its own dataset, named after its stem.

    A file that is called like a known dataset and is another has its digest in its name.

    Raises:
        DatasetError: it cannot be found or read, or is a known dataset of another task.
        UsageError: there is no such task.
    """
    reader = task_named(task)
    known = DATASETS.get(name_or_path)
    if known is not None and known.task != task:
        raise DatasetError(
            f"{name_or_path}: is a dataset for {known.task}, not for {task}; give the path of a file"
        )
    path = find(name_or_path, data_dir)
    if known is None:
        return _own(reader, path, file_and_columns(name_or_path)[1])
    dataset = reader.read(path, name_or_path)
    if dataset.digest != known.sha256:
        raise DatasetError(
            f"{path}: is not the dataset {name_or_path} (sha256 {dataset.digest}, expected {known.sha256}); "
            "install quantkit again, or give the file's path as it is"
        )
    if known.questions != len(dataset.questions):
        raise DatasetError(
            f"{path}: has {len(dataset.questions)} questions, not {known.questions}; report this"
        )
    return dataset


def file_and_columns(name: str) -> tuple[str, dict[str, str]]:
    """Return the path in a dataset's name and what is in which column: `reviews.csv?text=review&label=stars`.

    Raises:
        DatasetError: what stands behind the question mark is no list of `meaning=column`.
    """
    path, mark, said = name.rpartition("?")
    if not mark or Path(name).is_file():
        return name, {}
    pairs = [pair.partition("=") for pair in said.split("&")]
    if not all(meaning and column for meaning, _, column in pairs):
        raise DatasetError(f"{name}: write columns as FILE?text=COLUMN&label=COLUMN")
    return path, {meaning: column for meaning, _, column in pairs}


def _own(reader: Task, path: Path, columns: dict[str, str]) -> Dataset:
    dataset = reader.read(path, path.stem, columns)
    if columns:  # other columns are another dataset
        digest = digest_of({"file": dataset.digest, "columns": columns})
        dataset = dataclasses.replace(dataset, digest=digest, source=digest)
    return dataclasses.replace(dataset, name=own_name(path.stem, dataset.digest))


def find_known(known: KnownFile, data_dir: Path | None = None) -> Path:
    """Return the path of a known file, downloading it when it is nowhere.

    Raises:
        DatasetError: `data_dir` or `$QUANTKIT_DATA` is no folder, the bytes are not the pinned ones, or the
            download failed.
    """
    for place in _places(known, data_dir):
        if place.is_file():
            _check_bytes(place, known)
            return place
    cached = _cached(known)
    write_bytes(cached, _download(known))
    return cached


def located(name: str, data_dir: Path | None = None) -> Path | None:
    """Return where a known dataset is now, or None; its bytes are not checked and nothing is downloaded.

    Raises:
        DatasetError: `data_dir` or `$QUANTKIT_DATA` is no folder.
    """
    source = DATASETS[name].source
    places = [source] if isinstance(source, Path) else _places(source, data_dir)
    return next((place for place in places if place.is_file()), None)


def _places(known: KnownFile, data_dir: Path | None) -> list[Path]:
    named = [
        place
        for folder in _folders(data_dir)
        for place in (folder / known.file, folder / known.folder / known.file)
    ]
    return [*named, _cached(known)]


def _cached(known: KnownFile) -> Path:
    return cache_folder() / "data" / known.folder / known.file


def _folders(data_dir: Path | None) -> list[Path]:
    variable = os.environ.get("QUANTKIT_DATA")
    named = [("--data-dir", data_dir), ("$QUANTKIT_DATA", Path(variable) if variable else None)]
    for name, folder in named:
        if folder is not None and not folder.is_dir():
            raise DatasetError(f"{folder}: is not a folder; give one that exists as {name}")
    return [folder for _, folder in named if folder is not None]


def _existing(path: str) -> Path:
    if Path(path).is_file():
        return Path(path)
    near = difflib.get_close_matches(path, DATASETS, n=1)
    hint = (
        f"did you mean {near[0]!r}?" if near else f"give the path of a file, or one of {', '.join(DATASETS)}"
    )
    raise DatasetError(f"{path}: there is no such dataset; {hint}")


def _check_bytes(path: Path, known: KnownFile) -> None:
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    if digest != known.sha256:
        raise DatasetError(
            f"{path}: is not the official file (sha256 {digest}, expected {known.sha256}); "
            "replace or remove it"
        )


def _download(known: KnownFile) -> bytes:
    try:
        content = _fetch(known)
    except requests.RequestException as error:
        raise DatasetError(
            f"{known.file}: is nowhere here and could not be downloaded from {known.address} "
            f"({_reason(error)}); put the file with sha256 {known.sha256} {_where(known)}"
        ) from error
    digest = sha256_bytes(content)
    if digest != known.sha256:
        raise DatasetError(
            f"{known.address}: gave other bytes than the official file "
            f"(sha256 {digest}, expected {known.sha256}); put {known.file} {_where(known)}"
        )
    return content


def _where(known: KnownFile) -> str:
    return f"into a folder {known.folder}/ and give that folder's parent as --data-dir or $QUANTKIT_DATA"


def _fetch(known: KnownFile) -> bytes:
    retry = Retry(
        total=_RETRIES, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
    )
    content = bytearray()
    with requests.Session() as session, track(f"download {known.file}", known.size, "bytes") as advance:
        for scheme in ("https://", "http://"):  # an address may redirect from one to the other
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        with session.get(known.address, stream=True, timeout=_SECONDS) as response:
            response.raise_for_status()
            for chunk in response.iter_content(_CHUNK):
                content += chunk
                advance(len(chunk))
                if len(content) > known.size:
                    break  # whatever this is, it is not the file, and it may have no end
    return bytes(content)


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    return type(error).__name__
