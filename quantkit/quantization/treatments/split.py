"""Outlier channel splitting: layers read a channel that sticks out several times, each time with a share of its weight.

x_c W_c = Σ_i x_c (p_i W_c), with p_i > 0 and Σ p_i = 1 (Zhao et al. 2019, "Improving Neural Network Quantization
without Retraining using Outlier Channel Splitting"). Smoothing then divides the range of such a channel without making
its weight larger than those of the others: what it takes off the activation goes into several rows. GPTQ rounds them
one after the other, and each makes up for the errors of those before it.

Everything stays one integer product, with a few rows more. Of the 384 channels behind a normalization five can hold
most of the noise. The shares are not equal, so that the copies are not rounded alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import onnx_ir as ir

from quantkit.graph.channels import private_channels
from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import insert_before
from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Choice, Decision, Misfit, View
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.counted import Counted
from quantkit.quantization.treatments.outliers import channel_noise

# How many copies are taken: enough for a handful of channels. The kernel takes longer where the number of rows is no
# multiple of 16.
COPIES = 16
# Shares of a weight differ by so much of themselves, around the equal share.
_SPREAD = 0.2
# A channel that would take so many of the copies holds what smoothing cannot move.
_MANY = 4


@dataclass(frozen=True, slots=True)
class Split(Counted):
    """So many copies of channels are read.

    By itself it makes sixteen, where one channel alone would take four of them, and the layer before can make them:
    between two linear layers, where nobody else reads the tensor.
    """

    setting: ClassVar[str] = "split_channels"
    word: ClassVar[str] = "split"
    treats: ClassVar[str] = "channels that stick out"
    needs: ClassVar[str] = "smooth_quant"
    kernel: ClassVar[str] = "input_split"
    lost: ClassVar[str] = "the copies of channels; measure it without them"

    def misfit(self, choice: Choice) -> Misfit | None:
        """Refuse copies without smoothing."""
        if choice.has(self.needs):
            return None
        nothing = "does nothing without smoothing, which divides the ranges;"
        return Misfit(
            entry=f"{self.setting} {nothing} give smooth_quant too",
            option=f"--split-channels {self.count}: {nothing} leave --smooth-quant off out",
        )

    def excess(self, layer: str, inputs: int) -> str | None:
        """Refuse more copies than there are inputs."""
        if self.open or self.known <= inputs:
            return None
        return f"{self.setting} {self.count} are more copies than {layer} has inputs, {inputs}; take fewer"

    def found(self, layers: Sequence[Linear], seen: Statistics, choice: Choice) -> int:
        """Return sixteen, or none."""
        del choice
        free = private_channels(layers[0].activation, [layer.node for layer in layers]) is not None
        return COPIES if free and sticks_out(seen, [layer.matrix() for layer in layers], COPIES) else 0

    def decide(self, view: View, choice: Choice) -> "Copies | None":
        """Return the copies that leave the least range times |W_c| in any one; None for a dead tensor."""
        del choice
        found = find_split(view.seen, view.matrices, self.known)
        return found if found.copies.size else None

    @classmethod
    def offered(
        cls, layers: Sequence[Linear], seen: Statistics, beside: Choice, *, foldable: bool
    ) -> Iterator[Self]:
        """Yield sixteen where a channel sticks out, and copying the tensor is little of the work."""
        matrices = [layer.matrix() for layer in layers]
        little = sum(matrix.shape[1] for matrix in matrices) >= len(seen.low)
        if beside.has(cls.needs) and not foldable and little and sticks_out(seen, matrices, COPIES):
            yield cls(COPIES)

    def example(self, inputs: int) -> "Copies":
        """Return one copy of each of the first channels."""
        times = np.ones(inputs, np.int64)
        times[: self.known] = 2
        return split_evenly(times)


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies(Decision):
    """Which channels are read, and with which share of their weights.

    Attributes:
        channels: int64 [inputs + copies]: every channel in order, and then those that are read again.
        shares: float32 [inputs + copies]; of a channel they sum to 1.
    """

    channels: np.ndarray
    shares: np.ndarray

    @property
    def inputs(self) -> int:
        """How many channels there are."""
        return len(np.unique(self.channels))

    @property
    def copies(self) -> np.ndarray:
        """The channels that are read again, int64 in ascending order."""
        again: np.ndarray = self.channels[self.inputs :]
        return again

    def values(self, values: np.ndarray) -> np.ndarray:
        """Return tensors [..., inputs] as the layers read them, [..., inputs + copies]."""
        wide: np.ndarray = values[..., self.channels]
        return wide

    def matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Return a weight [inputs, outputs] as [inputs + copies, outputs]."""
        wide: np.ndarray = matrix[self.channels] * self.shares[:, None]
        return wide

    def statistics(self, seen: Statistics) -> Statistics:
        """Return the statistics of the tensor with its copies."""
        moment = None if seen.moment is None else seen.moment[np.ix_(self.channels, self.channels)]
        return replace(
            seen,
            low=self.values(seen.low),
            high=self.values(seen.high),
            mean=self.values(seen.mean),
            square=self.values(seen.square),
            moment=moment,
            sample=None if seen.sample is None else self.values(seen.sample),
        )

    def rewrite(self, model: ir.Model, layers: Sequence[Linear]) -> None:
        """Let the layers read the copies."""
        split_channels(model.graph, layers, self)

    def parameters(self) -> Sequence[np.ndarray]:
        """Return what is read."""
        return (self.channels,)


def find_split(statistics: Statistics, matrices: Sequence[np.ndarray], count: int) -> Copies:
    """Return the split that leaves the least range times |W_c| in any one copy; a dead tensor has no copies.

    Args:
        statistics: of the tensor.
        matrices: the weights that read it, [channels, outputs] each.
        count: how many copies, no more than there are channels.
    """
    weight = np.sqrt(channel_noise(statistics, matrices))
    return split_evenly(_times(weight, count))


def sticks_out(statistics: Statistics, matrices: Sequence[np.ndarray], count: int) -> bool:
    """Tell whether a channel would have four shares or more of so many copies: it holds what smoothing cannot move.

    Args:
        statistics: of the tensor.
        matrices: the weights that read it, [channels, outputs] each.
        count: how many copies.
    """
    weight = np.sqrt(channel_noise(statistics, matrices))
    return len(weight) >= count and int(_times(weight, count).max(initial=1)) >= _MANY


def split_evenly(times: np.ndarray) -> Copies:
    """Return the split by which each channel is read so many times, int64 [inputs], 1 or more."""
    inputs = np.arange(len(times))
    channels = np.concatenate([inputs, np.repeat(inputs, times - 1)])
    places = np.concatenate([np.zeros(len(times), int), *(np.arange(1, n) for n in times if n > 1)])
    of = times[channels]
    uneven = 1 + _SPREAD * (places - (of - 1) / 2) / np.maximum(of - 1, 1)
    # They are symmetric around 1.
    return Copies(channels=channels, shares=(uneven / of).astype(np.float32))


def split_channels(graph: ir.Graph, layers: Sequence[Linear], split: Copies) -> None:
    """Let layers of a float graph read the copies: Concat(x, Gather(x, copies)), and weights with more rows.

    Args:
        graph: rewritten in place; what is computed stays the same up to rounding.
        layers: they read one tensor; who else reads it reads it as it was.
        split: of the tensor.
    """
    first = layers[0]
    source = first.activation
    copies = add_initializer(graph, f"{first.name}.copied_channels", split.copies)
    copied = insert_before(
        graph,
        first.node,
        "Gather",
        [source, copies],
        name=f"{first.name}.input_copies",
        attributes={"axis": -1},
    )
    wide = insert_before(
        graph,
        first.node,
        "Concat",
        [source, copied.outputs[0]],
        name=f"{first.name}.input_split",
        attributes={"axis": -1},
    )
    for layer in layers:
        matrix = split.matrix(layer.matrix())
        stored = np.ascontiguousarray(matrix.T if layer.transposed else matrix)
        layer.node.replace_input_with(0, wide.outputs[0])
        layer.node.replace_input_with(1, add_initializer(graph, f"{layer.name}.weight_split", stored))


def _times(weight: np.ndarray, count: int) -> np.ndarray:
    """Return how often each channel is read, int64: copy after copy goes to the largest weight / times."""
    times = np.ones(len(weight), np.int64)
    for _ in range(count if weight.any() else 0):
        times[np.argmax(weight / times)] += 1
    return times
