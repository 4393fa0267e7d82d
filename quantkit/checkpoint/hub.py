"""Checkpoints from the Hugging Face Hub: weights, config and tokenizer files only, into the hub's cache."""

import sys
from pathlib import Path

from quantkit.errors import CheckpointError, UsageError

_FILES = ("*.json", "vocab.txt", "merges.txt", "*.safetensors")
_PICKLES = ("pytorch_model*.bin",)
# What other tools keep in subfolders (ONNX files, training states) is not wanted,
_SUBFOLDERS = ("*/*",)
# but for how sentence-transformers makes embeddings, in repositories that have modules.json.
_MODULES = "[0-9]_*/config.json"


def fetch_checkpoint(name: str, *, revision: str | None, allow_pickle: bool) -> Path:
    """Download a checkpoint, or find it in the hub's cache. The hub's client retries broken transfers.

    Args:
        name: such as `deepset/minilm-uncased-squad2`.
        revision: branch, tag or commit.
        allow_pickle: fetch pickled weights too.

    Raises:
        CheckpointError: there is no such checkpoint or revision, no permission, or no connection.
        UsageError: `huggingface_hub` is not installed.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
        from huggingface_hub.utils import (
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
        )
    except ModuleNotFoundError:
        raise UsageError(
            f"{name}: no such folder, and downloading needs huggingface_hub; "
            'give a checkpoint folder, or pip install "quantkit[hub]"'
        ) from None
    at = f"{name}, revision {revision}" if revision else name
    hidden = are_progress_bars_disabled()
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        folder = huggingface_hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=[*_FILES, *(_PICKLES if allow_pickle else ())],
            ignore_patterns=list(_SUBFOLDERS),
        )
        if (Path(folder) / "modules.json").is_file():
            folder = huggingface_hub.snapshot_download(name, revision=revision, allow_patterns=[_MODULES])
    except errors.GatedRepoError:
        raise CheckpointError(
            f"{at}: access is restricted; ask for it on huggingface.co and log in with `hf auth login`"
        ) from None
    except errors.RevisionNotFoundError:
        raise CheckpointError(f"{at}: the Hugging Face Hub has no such revision; give another one") from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise CheckpointError(
            f"{at}: neither a folder here nor a checkpoint on the Hugging Face Hub; check the name"
        ) from None
    # Offline mode, an empty cache and lost connections are all OSErrors.
    except (errors.RevisionResolutionError, errors.XetDownloadError, OSError) as error:
        raise CheckpointError(
            f"{at}: no such folder here, and the Hugging Face Hub cannot be reached ({_first_line(error)}); "
            "check the name and the connection, or give a checkpoint folder"
        ) from None
    finally:
        if not hidden:
            enable_progress_bars()
    return Path(folder)


def _first_line(error: Exception) -> str:
    """Return what went wrong first, in one line: the hub's errors wrap the connection's."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = str(cause).strip().splitlines()
    return lines[0][:120] if lines else type(cause).__name__
