"""What the names of weights tell: adapters, quantized weights, a wrapper around the model, a missing head.

They are looked at before transformers loads the weights, which leaves out what it has no place for.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantkit.architectures import Architecture
from quantkit.errors import CheckpointError
from quantkit.tasks import task as task_named
from quantkit.tasks.heads import fitting, tasks_of

# Parts of weight names that only unfinished or compressed checkpoints have.
_QUANTIZED = "quantized weights; give the float checkpoint"
_ADAPTER = "an adapter, which would be left out; merge it into its base model first"
_FOREIGN = {
    "lora_": "an unmerged LoRA adapter; merge it into its base model first",
    "base_layer.": "an unmerged adapter; merge it into its base model first",
    "adapter": _ADAPTER,
    "ia3_l": _ADAPTER,
    "hada_w": _ADAPTER,
    "lokr_w": _ADAPTER,
    "vera_lambda": _ADAPTER,
    "prefix_encoder.": "prefix tuning, which would be left out; give a model that was fine-tuned whole",
    "prompt_encoder.": "prompt tuning, which would be left out; give a model that was fine-tuned whole",
    "qweight": _QUANTIZED,
    "qzeros": _QUANTIZED,
    "weight_scale": _QUANTIZED,
    "absmax": _QUANTIZED,
}
_WRAPPERS = {"module": "DataParallel", "_orig_mod": "torch.compile"}
_IN_A_LAYER = re.compile(r"\.layers?\.(\d+)\.")
_NAMED = 3


def require_names(
    folder: Path, names: Collection[str], family: Architecture, task: str, config: Mapping[str, Any]
) -> None:
    """Check by their names that weights are a whole model of a family with the head of a task.

    Args:
        folder: of the checkpoint, for messages.
        names: of all its weights.
        family: that it shall be.
        task: that it shall be for.
        config: the checkpoint's config.json.

    Raises:
        CheckpointError: they belong to an adapter, are quantized, a wrapper's, or have no trained head.
    """
    for name in names:
        for part, what in _FOREIGN.items():
            if part in name:
                raise CheckpointError(f"{folder}: the weight {name} belongs to {what}")
    wanted = family.heads.get(task_named(task).head, ())  # an encoder alone has none of its own
    missing = [name for name in wanted if name not in names]
    if not missing:
        return
    prefix = _prefix(missing[0], names)
    if prefix is not None:
        raise CheckpointError(f"{folder}: {_wrapped(prefix)}")
    trained = [head for head, own in family.heads.items() if all(name in names for name in own)]
    hint = (
        f"export it with --task {fitting(config, trained)}"
        if tasks_of(trained)
        else "give a checkpoint trained for it"
    )
    raise CheckpointError(
        f"{folder}: has no weight {missing[0]}, so its head for {task} would be random; {hint}"
    )


def require_layers_whole(folder: Path, unused: Sequence[str], layers: int) -> None:
    """Refuse weights without a place inside a layer that the model has: its training computed something else there.

    Args:
        folder: of the checkpoint, for messages.
        unused: names of weights that the model has no place for.
        layers: of the encoder.

    Raises:
        CheckpointError: there is one.
    """
    for name in unused:
        place = _IN_A_LAYER.search(name)
        if place and int(place[1]) < layers:
            raise CheckpointError(
                f"{folder}: the weight {name} has no place in its layer, which computes something else than the "
                "model's family does; give a checkpoint without such parts, or merge them first"
            )


def modules_of(unused: Sequence[str]) -> str:
    """Return, for people, which modules weights belong to: the first few, and that there are more."""
    modules = list(dict.fromkeys(name.rpartition(".")[0] or name for name in unused))
    more = len(modules) - _NAMED
    return ", ".join(modules[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _prefix(wanted: str, names: Collection[str]) -> str | None:
    """Return what stands before the name of a weight, as `module.`; None when the weight is not there either."""
    return next((name[: -len(wanted)] for name in names if name.endswith(f".{wanted}")), None)


def _wrapped(prefix: str) -> str:
    path = prefix.rstrip(".")
    tools = [_WRAPPERS[part] for part in path.split(".") if part in _WRAPPERS]
    whose = f"of {' and '.join(tools)}" if tools else "of a class around the model"
    return (
        f"the names of its weights begin with {prefix!r}, {whose}, so the model's own names are not found; "
        f"save what is inside (.{path} of the object that was saved) with save_pretrained()"
    )
