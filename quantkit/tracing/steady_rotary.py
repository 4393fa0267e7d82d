"""Cosines and sines in an order that is the same in every process.

ModernBERT of transformers computes them for each kind of layer in the order of a set of strings, which changes from
process to process: the names and the order of the nodes of a trace would too.
"""

from typing import Any

import torch


class SteadyRotary(torch.nn.Module):  # type: ignore[misc]  # torch is followed by no type checker here
    """Computes all kinds at the first call of a pass, sorted, and returns the kind that is asked for at each call."""

    def __init__(self, rotary: torch.nn.Module, kinds: tuple[str, ...]) -> None:
        super().__init__()
        self.rotary = rotary
        self._kinds = sorted(set(kinds))
        self._found: dict[str, Any] = {}

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor, layer_type: str) -> Any:
        """Return cosines and sines of one kind."""
        if not self._found:
            self._found = {kind: self.rotary(x, position_ids, kind) for kind in self._kinds}
        return self._found.pop(layer_type)


def steady(model: torch.nn.Module) -> None:
    """Put a steady one in the place of a model's own, where it has one for several kinds of layers."""
    for module in list(model.modules()):
        rotary = getattr(module, "rotary_emb", None)
        kinds = getattr(rotary, "layer_types", None)
        if isinstance(rotary, torch.nn.Module) and kinds and not isinstance(rotary, SteadyRotary):
            module.rotary_emb = SteadyRotary(rotary, tuple(kinds))
