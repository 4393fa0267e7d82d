"""Noise: what a choice does to a group's output, computed on a sample of the tokens that calibration saw.

The layers are computed in numpy as the scheme computes them and compared to the float product. Exact for static and
blockwise but for the order of sums; a dynamic range is that of a batch, here of the sample, which is about as large.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Choice
from quantkit.quantization.observe.histogram import Histogram
from quantkit.quantization.observe.ranges import METHODS
from quantkit.quantization.treatments import Treated, rounded_to
from quantkit.quantization.write.blockwise import quantize_blocks

# Another range method is taken only when it saves this share of the activations' noise. Rounding errs to both sides
# and much of it cancels; clipping always errs to one, in the same tokens, and more of it on text of another kind. When
# a twentieth was enough, clipped ranges diverged by 16 % more than minmax on text like MiniLM's calibration set, and by
# 18 % more on text of another kind.
_WORTH_IT = 0.5
# Of the sample that noise is computed on: 1,024 tokens of 512 channels.
_MOST_VALUES = 1024 * 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """Mean square per token of the error, and of the float output, summed over a group's outputs."""

    noise: float
    signal: float

    @property
    def relative(self) -> float:
        """Noise / signal."""
        return self.noise / self.signal if self.signal > 0 else 0.0

    @property
    def sqnr_db(self) -> float:
        """10 log10(signal / noise); 300 when there is no noise."""
        if self.noise <= 0 or self.signal <= 0:
            return 300.0
        return 10 * math.log10(self.signal / self.noise)


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatOutputs:
    """What the layers that read one tensor make of a sample of it in float, for all choices to be compared with.

    Attributes:
        tensor: its name.
        layers: of the float model, not smoothed.
        sample: float32 [tokens, channels].
        wanted: of each layer, float32 [tokens, outputs].
        signal: mean square per token, summed over all outputs.
    """

    tensor: str
    layers: Sequence[Linear]
    sample: np.ndarray
    wanted: Sequence[np.ndarray]
    signal: float


def float_outputs(tensor: str, layers: Sequence[Linear], treated: Treated) -> FloatOutputs:
    """Compute what the layers that read a tensor make of its sample in float."""
    sample = treated.statistics[tensor].sample
    assert sample is not None
    # A mean over so many values does not need them all where tokens are wide.
    sample = sample[:: max(1, sample.size // _MOST_VALUES)]
    wanted = [sample @ layer.matrix() for layer in layers]
    signal = sum(_power(output) for output in wanted)
    return FloatOutputs(tensor=tensor, layers=layers, sample=sample, wanted=wanted, signal=signal)


def measure_noise(of: FloatOutputs, choice: Choice, treated: Treated) -> Noise:
    """Return the noise of one choice for the layers that read one tensor.

    Args:
        of: the layers, and what they should give.
        choice: what is computed.
        treated: with a sample of the tensor.
    """
    if choice.scheme == "float":
        return Noise(noise=0.0, signal=of.signal)
    if choice.scheme == "blockwise":
        rounded = _rounded_blocks(of.sample, choice.block_size)
        found = [rounded @ _blockwise_matrix(layer, choice.block_size) for layer in of.layers]
        return Noise(noise=_difference(of.wanted, found), signal=of.signal)
    reading = treated.reading(of.tensor, of.layers, choice)
    inputs = reading.inputs(choice)
    values = reading.values(of.sample)
    if choice.scheme == "static":
        values = inputs.rounded(values)
    else:
        assert inputs.seen.sample is not None
        everything = inputs.seen.sample
        values = rounded_to(values, float(everything.min()), float(everything.max()))
    matrices = ((layer.name, reading.matrix(layer.matrix())) for layer in of.layers)
    found = []
    for layer, made in zip(of.layers, treated.rounded(matrices, choice, inputs), strict=True):
        output = values @ made.weight.dequantize()
        for part in (reading.product(of.sample, layer.matrix()), made.correction):
            output = output if part is None else output + part
        found.append(output)
    return Noise(noise=_difference(of.wanted, found), signal=of.signal)


def best_range(tensor: str, layers: Sequence[Linear], choice: Choice, treated: Treated) -> Choice:
    """Return a static choice with the range method that rounds the sample best, as the layers weigh its channels."""
    reading = treated.reading(tensor, layers, choice)
    inputs = reading.inputs(choice)
    sample = inputs.seen.sample
    assert sample is not None
    importance = sum(
        (np.square(reading.matrix(layer.matrix())).sum(axis=1) for layer in layers), np.float32(0)
    )
    histogram = Histogram()
    histogram.add(sample)

    def noise(low: float, high: float) -> float:
        return float(np.square(rounded_to(sample, low, high) - sample).mean(axis=0) @ importance)

    best, least = choice, (1 - _WORTH_IT) * noise(inputs.bounds.low, inputs.bounds.high)
    for method, estimate in METHODS.items():
        found = noise(*estimate(histogram, choice.range.percentile))
        if found < least:
            best, least = replace(choice, range=replace(choice.range, method=method)), found
    return best


def _rounded_blocks(values: np.ndarray, block_size: int) -> np.ndarray:
    """Return each row's blocks rounded to -127..127 times their own largest magnitude, as MatMulNBits does."""
    rows, width = values.shape
    blocks = -(-width // block_size)
    padded = np.zeros((rows, blocks * block_size), np.float32)
    padded[:, :width] = values
    cut = padded.reshape(rows, blocks, block_size)
    scales = np.maximum(np.abs(cut).max(axis=2, keepdims=True) / 127, np.finfo(np.float32).tiny)
    result: np.ndarray = (np.rint(cut / scales) * scales).reshape(rows, -1)[:, :width]
    return result


def _blockwise_matrix(layer: Linear, block_size: int) -> np.ndarray:
    weight = quantize_blocks(layer.matrix(), block_size, name=layer.name)
    blocks = (weight.values.astype(np.float32) - weight.zero_point) * weight.scales[:, :, None]
    result: np.ndarray = blocks.reshape(len(blocks), -1)[:, : layer.shape[0]].T
    return result


def _difference(wanted: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    return sum(_power(other - output) for output, other in zip(wanted, found, strict=True))


def _power(values: np.ndarray) -> float:
    """Return the mean over tokens of the sum of squares."""
    return float(np.square(values, dtype=np.float64).sum() / len(values))
