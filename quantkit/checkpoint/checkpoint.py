"""A checkpoint, checked as far as its files tell: everything that can be refused before torch is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.architectures import Architecture, Config, EncoderShape, architecture
from quantkit.architectures.architecture import ENCODER
from quantkit.checkpoint.files import (
    WeightFiles,
    find_checkpoint,
    find_weights,
    folder_digest,
    read_json,
    require_cached,
)
from quantkit.checkpoint.safetensors import TensorEntry, read_header, require_finite
from quantkit.checkpoint.sentence_files import (
    Pooling,
    is_sentence_transformer,
    read_pooling,
    require_plain_texts,
)
from quantkit.checkpoint.weight_names import require_names
from quantkit.errors import CheckpointError, UsageError
from quantkit.tasks import TASKS
from quantkit.tasks import task as task_named
from quantkit.tasks.heads import fitting, tasks_of, unfit_head
from quantkit.tasks.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint whose files fit together, and the task.

    Attributes:
        name: how it was asked for.
        folder: where it is.
        task: what it shall be exported for.
        config: its config.json.
        architecture: its model family.
        inputs: what its graph takes, in order.
        shape: its encoder.
        weights: its weight files.
        digest: see `quantkit.checkpoint.files.checkpoint_digest`.
        max_positions: the longest row it takes, in tokens.
        pad_id: the id of the padding token.
        vocab_size: rows of the word embedding.
        tokens: how many of them the tokenizer uses.
        token_types: rows of the token type embedding that texts use, 1 or 2.
        pooling: how tokens become one embedding; None where the task has a head of its own.
    """

    name: str
    folder: Path
    task: str
    config: Mapping[str, Any]
    architecture: Architecture
    inputs: tuple[str, ...]
    shape: EncoderShape
    weights: WeightFiles
    digest: str
    max_positions: int
    pad_id: int
    vocab_size: int
    tokens: int
    token_types: int
    pooling: Pooling | None = None


def read_checkpoint(
    name: str,
    *,
    task: str,
    revision: str | None = None,
    allow_pickle: bool = False,
    pooling: str = "auto",
) -> Checkpoint:
    """Find a checkpoint and check its files against each other and against the task.

    Args:
        name: a local folder or a Hugging Face id.
        task: the name of the task.
        revision: of a Hugging Face checkpoint.
        allow_pickle: accept pickled weights; those are not looked into here.
        pooling: of an embedding model; see `quantkit.checkpoint.sentence_files.read_pooling`.

    Raises:
        CheckpointError: a file is missing, damaged, or does not fit.
        UsageError: there is no such task.
    """
    if task not in TASKS:
        raise UsageError(f"{task!r} cannot be exported; choose one of {', '.join(TASKS)}")
    folder = find_checkpoint(name, revision=revision, allow_pickle=allow_pickle)
    where = folder / "config.json"
    if (folder / "adapter_config.json").is_file() and not where.is_file():
        raise CheckpointError(f"{folder}: is a PEFT adapter, not a model; merge it into its base model first")
    values = read_json(where)
    family = architecture(values, str(where))
    config = Config(values=values, where=str(where))
    shape = family.read_shape(config)
    if values.get("quantization_config"):
        raise CheckpointError(f"{where}: the checkpoint is quantized already; give the float checkpoint")
    require_task(where, values, family, task)
    require_scored(where, values, task)
    embeds = task_named(task).head == ENCODER
    if pooling != "auto" and not embeds:
        raise UsageError(f"--pooling: {task} has a head of its own; leave it out")
    pooled = read_pooling(folder, pooling) if embeds else None
    weights = find_weights(folder, allow_pickle=allow_pickle)
    require_cached(folder, weights)
    if not weights.pickled:
        _check_weights(folder, weights, family, task, values)
    tokenizer = Tokenizer.load(folder)
    vocab_size = config.count("vocab_size")
    tokenizer.check_vocabulary(vocab_size)
    inputs = family.read_inputs(config)
    if embeds:
        require_plain_texts(folder, tokenizer)
    positions = tokenizer.max_positions or config.count("max_position_embeddings")
    return Checkpoint(
        name=name,
        pooling=pooled,
        folder=folder,
        task=task,
        config=values,
        architecture=family,
        inputs=inputs,
        shape=shape,
        weights=weights,
        digest=folder_digest(folder, weights),
        max_positions=positions,
        pad_id=tokenizer.pad_id,
        vocab_size=vocab_size,
        tokens=tokenizer.vocab_size,
        token_types=min(2, config.count("type_vocab_size", 2)) if "token_type_ids" in inputs else 1,
    )


def require_task(
    where: Path, config: Mapping[str, Any], family: Architecture, task: str, *, verb: str = "export"
) -> None:
    """Refuse a model whose config.json says that it was trained for something else.

    Args:
        where: the config.json, for messages.
        config: what is in it.
        family: the model's.
        task: what it shall be for.
        verb: what is done with it, for messages.

    Raises:
        CheckpointError: it is for another task, or for none.
    """
    if task_named(task).head not in (ENCODER, *family.heads):
        raise CheckpointError(
            f"{where}: transformers has no model of the family {family.model_type} for {task}; "
            f"it has them for {' and '.join(tasks_of(family.heads))}"
        )
    classes = config.get("architectures") or []
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise CheckpointError(f"{where}: architectures is {classes!r}; it must be a list of names")
    if not classes:
        return  # config.json need not say; the weights do
    known = {head for name in classes for head in family.heads if str(name).endswith(head)}
    wanted = task_named(task).head
    if wanted in known or (wanted == ENCODER and (not known or is_sentence_transformer(where.parent))):
        return
    if not known and is_sentence_transformer(where.parent):
        raise CheckpointError(
            f"{where}: a {classes[0]} that makes embeddings is not for {task}; "
            f"{verb} it with --task {fitting(config, (ENCODER,))}"
        )
    if known:
        raise CheckpointError(
            f"{where}: a {classes[0]} is not for {task}; {verb} it with --task {fitting(config, known)}"
        )
    raise CheckpointError(
        f"{where}: a {classes[0]} has no head for {task}; fine-tune it, or give a checkpoint that was "
        f"({' and '.join(family.heads[wanted])} are missing)"
    )


def require_scored(where: Path, config: Mapping[str, Any], task: str, rows: int | None = None) -> None:
    """Refuse a head that is for another task; see `quantkit.tasks.heads`.

    Args:
        where: the config.json or the folder, for messages.
        config: what is in the config.json.
        task: what the model shall be for.
        rows: of the head's weight, None where it was not read.

    Raises:
        CheckpointError: the head is for another task.
    """
    unfit = unfit_head(config, task_named(task), rows)
    if unfit is not None:
        raise CheckpointError(f"{where}: {unfit}")


def _check_weights(
    folder: Path, weights: WeightFiles, family: Architecture, task: str, config: Mapping[str, Any]
) -> None:
    entries: dict[str, TensorEntry] = {}
    for path in weights.paths:
        entries |= read_header(path)
    require_names(folder, entries, family, task, config)
    if task_named(task).head == ENCODER:
        require_finite(entries)
        return  # all its weights are the encoder's, and loading asks for each
    head = family.heads[task_named(task).head][0]
    require_scored(folder, config, task, rows=entries[head].shape[0] if entries[head].shape else None)
    require_finite(entries)
