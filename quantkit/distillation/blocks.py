"""Blocks: each changed part of the student learns alone to give what the part that it replaces gives.

A block is an attention or a feed-forward network, with its residual connection and its layer normalization; where a
family keeps them otherwise, it is a whole layer. It takes what the teacher's takes, so blocks are independent of each
other: one forward pass of the teacher serves them all, and no gradient leaves a block. Where the student lacks whole
layers, the block before the gap learns to give what the layer after the gap takes.

Source: the block-wise local distillation of Puzzle (Bercovich et al. 2024).
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from quantkit.distillation.encoder import Batch, Encoder
from quantkit.distillation.losses import hidden_error
from quantkit.distillation.pair import Pair

Part = Literal["attention", "feed-forward", "layer"]
_PREFIXES: Mapping[Part, tuple[str, ...]] = {
    "attention": ("attention.",),
    "feed-forward": ("intermediate.", "output."),
    "layer": ("",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A part of a student's layer that differs from the teacher's.

    Attributes:
        layer: of the student, from 0.
        part: which.
        replaces: the teacher's layer.
        gives: the point of the teacher that it shall give: (layer, whether its attention is done).
    """

    layer: int
    part: Part
    replaces: int
    gives: tuple[int, bool]

    @property
    def name(self) -> str:
        """What people call it."""
        return f"layer {self.layer} {self.part}"


def changed_blocks(pair: Pair, student: Encoder, teacher: Encoder) -> list[Block]:
    """Return the blocks whose weights are not the teacher's, or that stand before layers that are gone."""
    found = []
    for number, (layer, replaced, after) in enumerate(
        zip(student.layers, pair.layers, pair.takes, strict=True)
    ):
        original = teacher.layers[replaced]
        halves = _halved(layer) and _halved(original)
        parts: tuple[Part, ...] = ("attention", "feed-forward") if halves else ("layer",)
        for part in parts:
            gap = part != "attention" and after != replaced + 1
            if gap or not _same(parameters(layer, part), parameters(original, part)):
                gives = (replaced, True) if part == "attention" else (after, False)
                found.append(Block(layer=number, part=part, replaces=replaced, gives=gives))
    return found


def parameters(layer: nn.Module, part: Part) -> dict[str, nn.Parameter]:
    """Return the weights of a part of a layer, by their names in it."""
    return {name: weight for name, weight in layer.named_parameters() if name.startswith(_PREFIXES[part])}


def block_losses(
    blocks: Sequence[Block], student: Encoder, teacher: Encoder, batch: Batch
) -> dict[str, Tensor]:
    """Return each block's error on a batch, relative to the size of what it shall give; name → loss."""
    with torch.no_grad():
        seen = _watch(teacher, batch)
    losses = {}
    for block in blocks:
        layer = student.layers[block.layer]
        with student.products():
            given = _run(layer, block, seen)
        losses[block.name] = hidden_error(given, seen.points[block.gives], batch.mask)
    return losses


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seen:
    """What the teacher's layers took and gave.

    Attributes:
        calls: layer → the arguments of its attention, or of itself where it is one block.
        points: (layer, whether its attention is done) → hidden states; behind the last layer too.
    """

    calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]]
    points: dict[tuple[int, bool], Tensor]


def _watch(teacher: Encoder, batch: Batch) -> _Seen:
    seen = _Seen(calls={}, points={})
    with contextlib.ExitStack() as hooks, teacher.products():
        for number, layer in enumerate(teacher.layers):
            called = layer.attention if _halved(layer) else layer
            hooks.enter_context(_hooked(called, _taken(seen, number), before=True))
            if _halved(layer):
                hooks.enter_context(_hooked(called, _given(seen, (number, True)), before=False))
            hooks.enter_context(_hooked(layer, _given(seen, (number + 1, False)), before=False))
        teacher.model(**batch.inputs)
    return seen


@contextlib.contextmanager
def _hooked(module: nn.Module, note: Callable[..., None], *, before: bool) -> Iterator[None]:
    register = module.register_forward_pre_hook if before else module.register_forward_hook
    hook = register(note, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _taken(seen: _Seen, number: int) -> Callable[..., None]:
    def note(module: nn.Module, args: tuple[Any, ...], others: dict[str, Any]) -> None:
        del module
        seen.calls[number] = (args, others)
        seen.points[number, False] = args[0]

    return note


def _given(seen: _Seen, point: tuple[int, bool]) -> Callable[..., None]:
    def note(module: nn.Module, args: tuple[Any, ...], others: dict[str, Any], output: Any) -> None:
        del module, args, others
        seen.points[point] = _first(output)

    return note


def _run(layer: nn.Module, block: Block, seen: _Seen) -> Tensor:
    if block.part == "feed-forward":
        taken = seen.points[block.replaces, True]
        inner = layer.intermediate(taken) if hasattr(layer, "intermediate") else None
        return layer.output(inner, taken)
    args, others = seen.calls[block.replaces]
    return _first((layer.attention if block.part == "attention" else layer)(*args, **others))


def _halved(layer: nn.Module) -> bool:
    """Return whether a layer is an attention, then a network whose second half adds what the attention gave."""
    # MobileBERT has more networks in a layer and narrower attention; DistilBERT calls its parts otherwise.
    return (
        hasattr(layer, "attention")
        and hasattr(layer.attention, "output")
        and hasattr(layer, "output")
        and not hasattr(layer, "bottleneck")
    )


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _same(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return mine.keys() == theirs.keys() and all(
        weight.shape == theirs[name].shape and torch.equal(weight, theirs[name])
        for name, weight in mine.items()
    )
