"""From a checked checkpoint to a PyTorch model in float32, every weight of it from the file."""

import contextlib
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError

from quantkit.architectures.architecture import ENCODER
from quantkit.checkpoint.checkpoint import Checkpoint
from quantkit.checkpoint.decibert import DeciBertConfig
from quantkit.checkpoint.sentence_encoder import SentenceEncoder
from quantkit.checkpoint.weight_names import require_layers_whole, require_names
from quantkit.errors import CheckpointError
from quantkit.tasks import task

# Of an encoder alone: what it has for other purposes, and buffers that old versions stored.
_POOLER = "pooler."
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")

# What transformers is known to raise over files that it cannot make sense of.
LOAD_ERRORS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    StrictDataclassError,
    SafetensorError,
)


def load_model(checkpoint: Checkpoint) -> tuple[torch.nn.Module, tuple[str, ...]]:
    """Load a checkpoint in float32 with plain attention, ready for inference.

    Returns:
        The model, and the names, sorted, of weights in the file that the model has no place for.

    Raises:
        CheckpointError: a weight is missing, of another shape, NaN or infinite, or the file cannot be loaded.
    """
    folder = checkpoint.folder
    with quiet_transformers():
        if checkpoint.weights.pickled:
            _check_pickles(checkpoint)
        try:
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            # What a training script left there: an export calls the model in one way, and whole.
            config.return_dict, config.chunk_size_feed_forward = True, 0
            model, report = _auto_class(checkpoint).from_pretrained(
                folder,
                config=config,
                use_safetensors=not checkpoint.weights.pickled,
                weights_only=True,
                local_files_only=True,
                trust_remote_code=False,
                attn_implementation="eager",
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are reported below, with one line
            )
        except LOAD_ERRORS as error:
            raise CheckpointError(
                f"{folder}: transformers cannot load it ({first_line(error)}); check config.json and weights"
            ) from error
    for name, found, wanted in sorted(report["mismatched_keys"]):
        raise CheckpointError(
            f"{folder}: the weight {name} is {list(found)} where config.json says {list(wanted)}; "
            "use the config.json of this checkpoint"
        )
    missing = sorted(report["missing_keys"])
    unexpected = tuple(sorted(report["unexpected_keys"]))
    if checkpoint.pooling is not None:
        missing = [name for name in missing if not name.startswith(_POOLER)]
        unexpected = tuple(name for name in unexpected if not name.endswith(_BUFFERS))
    if missing:
        raise CheckpointError(
            f"{folder}: {len(missing)} weights are missing, the first is {missing[0]}; "
            "they would be random: give the whole checkpoint"
        )
    if checkpoint.architecture.model_type == DeciBertConfig.model_type:
        _require_all_used(folder, unexpected)
    require_layers_whole(folder, unexpected, checkpoint.shape.layer_count)
    if checkpoint.pooling is not None:
        # Nothing reads it, and many such checkpoints have none.
        if hasattr(model, "pooler"):
            model.pooler = None
        model = SentenceEncoder(model, checkpoint.architecture.encoder, checkpoint.pooling)
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise CheckpointError(
                f"{folder}: the weight {name} has NaN or infinite values; take another checkpoint"
            )
    return model.eval().requires_grad_(False), unexpected


def _auto_class(checkpoint: Checkpoint) -> Any:
    head = task(checkpoint.task).head
    return getattr(transformers, "AutoModel" if head == ENCODER else f"AutoModel{head}")


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep warnings, log lines and progress bars of torch, transformers and the hub away in the block."""
    verbosity = transformers.logging.get_verbosity()
    bars = transformers.logging.is_progress_bar_enabled()
    hub_bars = are_progress_bars_disabled()
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
        # transformers switches the hub's bars together with its own, so these come last.
        if hub_bars:
            disable_progress_bars()
        else:
            enable_progress_bars()


def _require_all_used(folder: Path, unexpected: tuple[str, ...]) -> None:
    """Refuse weights of a layer that config.json leaves out: it is what says which parts a layer has.

    Raises:
        CheckpointError: there are some.
    """
    left = [name for name in unexpected if ".encoder.layer." in name]
    if left:
        raise CheckpointError(
            f"{folder}: has the weight {left[0]}, and config.json leaves that part out; "
            "use the config.json of this checkpoint"
        )


def _check_pickles(checkpoint: Checkpoint) -> None:
    """Read pickled weights with torch's unpickler for tensors only, which runs no code of the file.

    Raises:
        CheckpointError: a file holds something else than a table of tensors, is damaged, or no whole model.
    """
    names: list[str] = []
    for path in checkpoint.weights.paths:
        try:
            part = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, EOFError, RuntimeError, OSError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"{path}: cannot be unpickled safely ({first_line(error)}); save it as safetensors"
            ) from error
        if not isinstance(part, dict) or not all(isinstance(value, torch.Tensor) for value in part.values()):
            raise CheckpointError(f"{path}: is not a table of weights; save the checkpoint as safetensors")
        names += part
    require_names(checkpoint.folder, names, checkpoint.architecture, checkpoint.task, checkpoint.config)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says; of a field of a config, the one that says what is wrong with it."""
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    chosen = lines[-1].strip() if isinstance(error, StrictDataclassError) else lines[0]
    return chosen[:160]
