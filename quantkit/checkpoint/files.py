"""Where a checkpoint's files are, which of them count, and their digest. No torch here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit import strict_json
from quantkit.artifact.artifact import COMPANIONS
from quantkit.checkpoint.hub import fetch_checkpoint
from quantkit.checkpoint.other_weights import other_weights
from quantkit.errors import CheckpointError
from quantkit.files import digest_of, sha256_file
from quantkit.hub_cache import blobs_of, is_blob
from quantkit.tasks.tokenizer_files import SENTENCE_SETTINGS

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
MODULE_CONFIGS = "[0-9]_*/config.json"
INDEX = ".index.json"  # appended to the name of a checkpoint that is split into several files

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFiles:
    """The files that hold the weights.

    Attributes:
        paths: one file, or the parts of a split checkpoint in the order of their names.
        index: the file that says which weight is in which part; None when there is only one.
        pickled: they are pickles of torch, not safetensors.
    """

    paths: tuple[Path, ...]
    index: Path | None
    pickled: bool


def find_checkpoint(checkpoint: str, *, revision: str | None = None, allow_pickle: bool = False) -> Path:
    """Return the folder of a checkpoint: a local one, or a Hugging Face id, downloaded into the hub's cache.

    Raises:
        CheckpointError: there is none, or it cannot be downloaded.
        UsageError: a Hugging Face id without `huggingface_hub` installed.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(f"{checkpoint}: is a file; give the folder that holds it and its config.json")
    if not _HUB_ID.fullmatch(checkpoint):
        raise CheckpointError(f"{checkpoint}: no such folder; give a checkpoint folder or a Hugging Face id")
    return fetch_checkpoint(checkpoint, revision=revision, allow_pickle=allow_pickle)


def find_weights(folder: Path, *, allow_pickle: bool = False) -> WeightFiles:
    """Return the files with the weights.

    Raises:
        CheckpointError: there are none, a part is missing, or they are pickles and pickles are not allowed.
    """
    if (folder / SAFETENSORS).is_file():
        return WeightFiles(paths=(folder / SAFETENSORS,), index=None, pickled=False)
    if (folder / (SAFETENSORS + INDEX)).is_file():
        return _parts(folder, SAFETENSORS + INDEX, pickled=False)
    pickled = [name for name in (PICKLE, PICKLE + INDEX) if (folder / name).is_file()]
    if pickled and not allow_pickle:
        raise CheckpointError(
            f"{folder}: holds its weights only as a pickle ({pickled[0]}), and unpickling can run code; "
            "save it as safetensors, or allow export to load it with --allow-pickle"
        )
    if (folder / PICKLE).is_file():
        return WeightFiles(paths=(folder / PICKLE,), index=None, pickled=True)
    if pickled:
        return _parts(folder, PICKLE + INDEX, pickled=True)
    other = other_weights(folder)
    if other is not None:
        raise CheckpointError(f"{folder}: {other}")
    raise CheckpointError(f"{folder}: has no {SAFETENSORS}; copy the checkpoint's weights there")


def checkpoint_digest(checkpoint: str, *, revision: str | None = None, allow_pickle: bool = False) -> str:
    """Return the digest of a checkpoint: of the sha256 of its weights, config and tokenizer files by name.

    Other files of the folder (a README, an optimizer's state) do not count. Needs no torch.

    Raises:
        CheckpointError: there is no such checkpoint, or its weights are missing.
    """
    folder = find_checkpoint(checkpoint, revision=revision, allow_pickle=allow_pickle)
    return folder_digest(folder, find_weights(folder, allow_pickle=allow_pickle))


def require_cached(folder: Path, weights: WeightFiles) -> None:
    """Check that in the cache of the Hugging Face Hub files lead to blobs of the same repository.

    Elsewhere a link is the user's own, and is followed.

    Raises:
        CheckpointError: one leads somewhere else.
    """
    if blobs_of(folder) is None:
        return
    for path in (*(folder / name for name in COMPANIONS), *weights.paths):
        if not path.resolve().is_relative_to(folder.resolve()) and not is_blob(folder, path):
            raise CheckpointError(f"{path}: is a link that leaves the cache; download the checkpoint again")


def folder_digest(folder: Path, weights: WeightFiles) -> str:
    """Return the digest of a checkpoint folder with these weights; see `checkpoint_digest`."""
    paths = [folder / name for name in COMPANIONS if (folder / name).is_file()]
    paths += weights.paths
    if weights.index is not None:
        paths.append(weights.index)
    # How sentence-transformers makes embeddings.
    paths += [folder / name for name in (MODULES, PROMPTS, SENTENCE_SETTINGS) if (folder / name).is_file()]
    paths += sorted(folder.glob(MODULE_CONFIGS))
    try:
        return digest_of({path.relative_to(folder).as_posix(): sha256_file(path) for path in paths})
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read: {error.strerror}; check its permissions") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is missing, cannot be read, or holds something else.
    """
    try:
        content = strict_json.read_json(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: has no {path.name}; copy the whole checkpoint") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; check its permissions") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); copy the file again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is not a JSON object; copy the file again")
    return content


def _parts(folder: Path, name: str, *, pickled: bool) -> WeightFiles:
    index = folder / name
    parts = read_json(index).get("weight_map")
    if not isinstance(parts, dict) or not parts:
        raise CheckpointError(f"{index}: has no weight_map; copy the file again")
    names = sorted({str(part) for part in parts.values()})
    for part in names:
        # A part stands beside its index: anything else would be read from outside of the checkpoint.
        if Path(part).name != part or not (folder / part).is_file():
            raise CheckpointError(f"{index}: names {part!r}, which is not in the folder; copy it there")
    return WeightFiles(paths=tuple(folder / part for part in names), index=index, pickled=pickled)
