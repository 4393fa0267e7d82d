"""Fake quantization: linear layers compute as they will in INT8, so that the last steps learn to bear it.

Weights are rounded to 8 bits, symmetric, with a scale for each output, as the grid int8 has them; inputs to 8 bits
between the smallest and the largest value of the batch. Gradients pass through as if nothing were rounded. The pair
limit of CPUs without VNNI and what treatments do to channels are not seen here.
"""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_WEIGHT, _INPUT = 127, 255
_SMALLEST = 1e-8


@contextlib.contextmanager
def fake_quantized(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Round weights and inputs of all linear layers below these modules while the block runs."""
    linears = [module for layer in layers for module in layer.modules() if isinstance(module, nn.Linear)]
    for linear in linears:
        linear.forward = _FakeQuantized(linear)
    try:
        yield
    finally:
        for linear in linears:
            del linear.forward


class _FakeQuantized:
    """What a linear layer computes in place of its own product."""

    def __init__(self, linear: nn.Linear) -> None:
        self._linear = linear

    def __call__(self, values: Tensor) -> Tensor:
        """Return the layer's outputs [..., outputs]."""
        weight = round_weight(self._linear.weight)
        return functional.linear(round_input(values.float()), weight, self._linear.bias)


def round_weight(weight: Tensor) -> Tensor:
    """Return a matrix [outputs, inputs] rounded to 8 bits, with a scale for each output."""
    scale = weight.detach().abs().amax(dim=1).clamp(min=_SMALLEST) / _WEIGHT
    zeros = torch.zeros(len(scale), dtype=torch.int32, device=weight.device)
    return torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -_WEIGHT, _WEIGHT)


def round_input(values: Tensor) -> Tensor:
    """Return values rounded to 8 bits between their smallest and largest, zero included."""
    low, high = values.detach().amin().clamp(max=0.0), values.detach().amax().clamp(min=0.0)
    scale = ((high - low) / _INPUT).clamp(min=_SMALLEST)
    zero = (-low / scale).round().to(torch.int32)
    return torch.fake_quantize_per_tensor_affine(values, scale, zero, 0, _INPUT)
