"""Fake quantization of a PyTorch model: INT8 inside FP32, to train against it and to see how a model bears it.

Weights are rounded per output channel (embedding tables per row), symmetric; the inputs of linear layers per
tensor between their minimum and maximum, as dynamic quantization does. Gradients pass through unchanged.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_LOW, _HIGH = -127, 127
_LEVELS = 255


class _RoundRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
    """Rounds a matrix to 8 bits with one scale per row."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return the rounded matrix [rows, columns]."""
        scale = weight.detach().abs().amax(dim=1).clamp(min=1e-8) / _HIGH
        zeros = torch.zeros(len(scale), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, _LOW, _HIGH)


def _round_input(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG001
    values = inputs[0]
    low = values.detach().amin().clamp(max=0.0)
    high = values.detach().amax().clamp(min=0.0)
    scale = ((high - low) / _LEVELS).clamp(min=1e-8)
    zero = (-low / scale).round().to(torch.int32)
    rounded = torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, _LEVELS)
    return (rounded, *inputs[1:])


@contextmanager
def fake_quantized(model: nn.Module) -> Iterator[None]:
    """Round the weights and inputs of all linear layers, and all embedding tables, while the block runs."""
    modules = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Embedding)]
    hooks = [
        module.register_forward_pre_hook(_round_input) for module in modules if isinstance(module, nn.Linear)
    ]
    for module in modules:
        parametrize.register_parametrization(module, "weight", _RoundRows())
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module in modules:
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
