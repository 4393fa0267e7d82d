"""Encoder: a model run on a batch, and what it shows on the way: hidden states, and vectors of one attention."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from quantkit.checkpoint import Checkpoint
from quantkit.distillation.rows import Padded
from quantkit.tasks import task
from quantkit.tasks.task import Right

# Names of queries, keys and values below a layer's attention, by family.
_VECTORS = (("self.query", "self.key", "self.value"), ("q_lin", "k_lin", "v_lin"))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Rows on the device where the models are.

    Attributes:
        inputs: what a model takes, by name.
        mask: bool [rows, tokens], where a row has a token.
        right: what the labels say of each row; empty when they are not asked for.
    """

    inputs: dict[str, Tensor]
    mask: Tensor
    right: tuple[Right, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.mask)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """What a model shows of a batch.

    Attributes:
        outputs: logits, in the order of the task.
        hidden: [rows, tokens, hidden] before each layer, and after the last.
        vectors: queries, keys and values of the attention that is watched, [rows, tokens, heads * head size]; empty
            when none is.
    """

    outputs: tuple[Tensor, ...]
    hidden: tuple[Tensor, ...]
    vectors: tuple[Tensor, ...]


@dataclass(kw_only=True, slots=True, eq=False)
class Encoder:
    """A model, with its layers by number.

    Attributes:
        model: in evaluation mode: nothing is dropped out.
        checkpoint: what it was loaded from.
        device: where it is.
        dtype: of its products.
    """

    model: nn.Module
    checkpoint: Checkpoint
    device: torch.device
    dtype: torch.dtype
    _seen: list[Tensor] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Let the last layer of all work in float32: rounded to bfloat16, logits near 10 differ by sixteenths."""
        of_task = task(self.checkpoint.task)
        weight = self.checkpoint.architecture.heads[of_task.head][0]
        head = self.model.get_submodule(weight.rpartition(".")[0])
        plain = head.forward

        def forward(values: Tensor) -> Tensor:
            with torch.autocast(self.device.type, enabled=False):
                return plain(values.float())

        head.forward = forward

    @property
    def layers(self) -> Sequence[nn.Module]:
        """The encoder's layers, in order."""
        base = getattr(self.model, self.checkpoint.architecture.encoder)
        stack = base.encoder if hasattr(base, "encoder") else base.transformer
        return list(stack.layer)

    def place(self, padded: Padded) -> Batch:
        """Return rows as the model takes them, on its device."""
        inputs = {
            name: torch.from_numpy(array).to(self.device)
            for name in self.checkpoint.inputs
            if (array := getattr(padded, name)) is not None
        }
        mask = torch.ones(padded.input_ids.shape, dtype=torch.bool, device=self.device)
        if "attention_mask" in inputs:
            mask = inputs["attention_mask"].bool()
        return Batch(inputs=inputs, mask=mask, right=padded.right)

    @contextlib.contextmanager
    def products(self) -> Iterator[None]:
        """Let products in the block be of the encoder's precision; sums and normalizations stay float32."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            yield

    def view(self, batch: Batch) -> View:
        """Run the model."""
        self._seen.clear()
        with self.products():
            found = self.model(**batch.inputs, output_hidden_states=True)
        names = task(self.checkpoint.task).outputs
        view = View(
            outputs=tuple(getattr(found, name) for name in names),
            hidden=tuple(found.hidden_states),
            vectors=tuple(self._seen),
        )
        self._seen.clear()
        return view

    def answer(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the logits in float32, without gradients."""
        with torch.inference_mode(), self.products():
            found = self.model(**batch.inputs)
        return tuple(getattr(found, name) for name in task(self.checkpoint.task).outputs)

    def vector_width(self, layer: int) -> int:
        """Return the width of a layer's queries; 0 where it has no attention, or one of another kind."""
        linears = _vector_layers(self.layers[layer])
        return int(linears[0].out_features) if linears else 0

    @contextlib.contextmanager
    def watching(self, layer: int | None) -> Iterator[None]:
        """Let views in the block show queries, keys and values of a layer; None: of none."""
        linears = _vector_layers(self.layers[layer]) if layer is not None else ()
        hooks = [linear.register_forward_hook(self._keep) for linear in linears]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        del module, inputs
        self._seen.append(output)


def _vector_layers(layer: nn.Module) -> tuple[nn.Linear, ...]:
    attention = getattr(layer, "attention", None)
    for names in _VECTORS:
        found = [_below(attention, name) for name in names]
        if all(isinstance(one, nn.Linear) for one in found):
            return tuple(found)
    return ()


def _below(module: nn.Module | None, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name, None)
    return module
