"""Fake quantization: weights and inputs are on their grids, gradients pass, and nothing stays."""

import pytest

torch = pytest.importorskip("torch")

from quantkit.distillation.fake_quantization import fake_quantized, round_input, round_weight  # noqa: E402 - needs torch
from quantkit.quantization.grids import GRIDS  # noqa: E402


def test_weights_are_on_the_int8_grid() -> None:
    """What is learned against is what the grid int8 makes of the weight."""
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    matrix = weight.T.numpy()
    scales = GRIDS["int8"].scales(matrix)
    levels = GRIDS["int8"].nearest(matrix / scales)
    assert round_weight(weight).T.numpy() == pytest.approx(levels * scales, abs=1e-6)


def test_inputs_keep_zero_and_their_ends() -> None:
    """Zero is a level, and the smallest and largest value are half a level away at most."""
    values = torch.tensor([-1.0, 0.0, 0.3, 3.0])
    found = round_input(values)
    assert float(found[1]) == 0
    assert float((found - values).abs().max()) <= 4 / 255 / 2 + 1e-6


def test_gradients_pass_and_nothing_stays() -> None:
    """The gradient is that of the plain product at rounded values; behind the block the layer is its own again."""
    linear = torch.nn.Linear(4, 3)
    values = torch.randn(2, 4)
    plain = linear(values)
    with fake_quantized([torch.nn.Sequential(linear)]):
        linear(values).sum().backward()
        assert not torch.equal(linear(values), plain)
    assert linear.weight.grad is not None
    expected = round_input(values).sum(dim=0).expand(3, 4)
    assert torch.allclose(linear.weight.grad, expected, atol=1e-5)
    assert torch.equal(linear(values), plain)
