"""Outlier channels: a few channels of an activation are multiplied in float, and the others need not share their range.

x W = x W' + x[S] W[S], where W' is W with the rows S at zero. x W' is computed in integers, over the range of the
channels that are not in S: what sticks out of it is clipped, and multiplied by zero. x[S] W[S] is a float product of a
few channels (Dettmers et al. 2022, "LLM.int8()", with a choice of channels that is fixed by calibration).

Of the 1,536 channels behind a GELU eight can hold most of the rounding noise. Smoothing makes their range smaller and
their weights larger; here they are out of the way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import add_behind, insert_before
from quantkit.graph.linear import Linear
from quantkit.quantization.choice import Choice, Decision, Misfit, View
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.counted import Counted

_MUCH_LESS = 0.75
_EIGHT = 8
# Elsewhere they can cost more time than the noise is worth; a search weighs that. The Slice and the product of eight
# are small beside the integer product where there are many channels, and their sum where there are fewer outputs.
_LEAST_CHANNELS, _LEAST_PER_OUTPUT = 128, 2
# What a search tries, if each leaves much less noise than the one before.
_TRIED = (8, 32)


@dataclass(frozen=True, slots=True)
class Outliers(Counted):
    """So many channels are multiplied in float.

    By itself it takes eight, where that leaves at most three quarters of the activation's rounding noise, and there are
    128 channels or more, at least two for each output: behind the GELUs of some layers. A pooled head, which reads one
    vector a row, has none.
    """

    setting: ClassVar[str] = "outlier_channels"
    word: ClassVar[str] = "outliers"
    treats: ClassVar[str] = "channels that stick out"
    kernel: ClassVar[str] = "outliers"
    lost: ClassVar[str] = "the product of outliers; measure it without them"

    def misfit(self, choice: Choice) -> Misfit | None:
        """Refuse ranges that are those of all channels."""
        method = choice.range.method
        if method == "minmax":
            return None
        leaves = "leaves the others the range of their extremes, and"
        return Misfit(
            entry=f"{self.setting} {leaves} calib_method {method} would be of all channels; give calib_method minmax",
            option=f"--outlier-channels {self.count}: {leaves} --calib-method {method} would be of all channels; "
            "give --calib-method minmax",
        )

    def excess(self, layer: str, inputs: int) -> str | None:
        """Refuse more than half of the inputs."""
        if self.open or self.known <= inputs // 2:
            return None
        return (
            f"{self.setting} {self.count} are more than half of the {inputs} inputs of {layer}; "
            "take fewer, or keep the layer float"
        )

    def found(self, layers: Sequence[Linear], seen: Statistics, choice: Choice) -> int:
        """Return eight, or none."""
        matrices = [layer.matrix() for layer in layers]
        least = max(_LEAST_CHANNELS, _LEAST_PER_OUTPUT * sum(matrix.shape[1] for matrix in matrices))
        counts = [_EIGHT] if len(seen.low) >= least and not layers[0].pooled else []
        return max(worthwhile_counts(seen, matrices, counts, smoothed=_smoothed(choice)), default=0)

    def decide(self, view: View, choice: Choice) -> "FloatChannels":
        """Take the channels whose absence saves most of the noise."""
        smoothed = _smoothed(choice)
        return FloatChannels(
            channels=outlier_channels(view.seen, view.matrices, self.known, smoothed=smoothed)
        )

    @classmethod
    def offered(
        cls, layers: Sequence[Linear], seen: Statistics, beside: Choice, *, foldable: bool
    ) -> Iterator[Self]:
        """Yield those whose absence leaves much less noise."""
        del foldable
        matrices = [layer.matrix() for layer in layers]
        for count in worthwhile_counts(seen, matrices, _TRIED, smoothed=_smoothed(beside)):
            yield cls(count)

    def example(self, inputs: int) -> "FloatChannels":
        """Return channels that lie far from each other."""
        return FloatChannels(channels=np.arange(self.known) * (inputs // self.known))

    def extra_macs(self, outputs: int) -> int:
        """Return those of the float product."""
        return self.known * outputs


@dataclass(frozen=True, kw_only=True, slots=True)
class FloatChannels(Decision):
    """The channels S, int64 in ascending order."""

    channels: np.ndarray

    @property
    def apart(self) -> np.ndarray:
        """All of them."""
        return self.channels

    def values(self, values: np.ndarray) -> np.ndarray:
        """Return values [..., channels] with these channels at zero."""
        rest = values.copy()
        rest[..., self.channels] = 0
        return rest

    def matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Return W', the weight with the rows of these channels at zero."""
        return without_rows(matrix, self.channels)

    def statistics(self, seen: Statistics) -> Statistics:
        """Return the statistics with these channels at zero."""
        return without_channels(seen, self.channels)

    def product(self, values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return x[S] W[S]."""
        found: np.ndarray = values[..., self.channels] @ matrix[self.channels]
        return found

    def beside(self, model: ir.Model, layers: Sequence[Linear]) -> None:
        """Add x[S] W[S] to what each layer computes."""
        multiply_outliers(model.graph, layers, self.channels)


def outlier_channels(
    statistics: Statistics, matrices: Sequence[np.ndarray], count: int, *, smoothed: bool
) -> np.ndarray:
    """Return the channels whose absence saves most of the noise, int64 [count] in ascending order.

    Without smoothing they are those that widen the range: of the largest |x|. Smoothed channels have a range of their
    own each, and its noise is weighed by the layers: those of the largest range times |W_c|.

    Args:
        statistics: of the tensor.
        matrices: the weights that read it, [channels, outputs] each.
        count: how many.
        smoothed: the others will be smoothed.
    """
    weight = np.sqrt(channel_noise(statistics, matrices)) if smoothed else statistics.magnitude
    return np.sort(np.argsort(-weight, kind="stable")[:count])


def channel_noise(statistics: Statistics, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return range² |W_c|² of each channel, float64 [channels]: its rounding noise, were every range its own.

    Args:
        statistics: of the tensor.
        matrices: the weights that read it, [channels, outputs] each.
    """
    width = np.maximum(statistics.high, 0).astype(np.float64) - np.minimum(statistics.low, 0)
    noise: np.ndarray = np.square(width) * _importance(matrices)
    return noise


def remaining_noise(
    statistics: Statistics, matrices: Sequence[np.ndarray], channels: np.ndarray, *, smoothed: bool
) -> float:
    """Return which share of the rounding noise of the activation is left without these channels, 0 to 1.

    Rounding is noise of step² / 12 in every channel, that reaches the outputs by |W_c|². The step is a 255th of the
    widest range; with smoothing, at its best, of each channel's own.
    """
    kept = np.setdiff1d(np.arange(len(statistics.low)), channels)
    if smoothed:
        return _share(channel_noise(statistics, matrices), kept)
    width = _width(statistics.low, statistics.high)
    narrower = _width(statistics.low[kept], statistics.high[kept]) / width if width else 0.0
    return narrower**2 * _share(_importance(matrices), kept)


def worthwhile_counts(
    statistics: Statistics, matrices: Sequence[np.ndarray], counts: Sequence[int], *, smoothed: bool
) -> Iterator[int]:
    """Yield those counts of outlier channels, in ascending order, that leave much less noise than the one before.

    Args:
        statistics: of the tensor.
        matrices: the weights that read it, [channels, outputs] each.
        counts: in ascending order; never more than half of the channels are taken.
        smoothed: the others will be smoothed.
    """
    least = 1.0
    for count in counts:
        if count > len(statistics.low) // 2:
            return
        channels = outlier_channels(statistics, matrices, count, smoothed=smoothed)
        left = remaining_noise(statistics, matrices, channels, smoothed=smoothed)
        if left <= _MUCH_LESS * least:
            least = left
            yield count


def without_channels(statistics: Statistics, channels: np.ndarray) -> Statistics:
    """Return the statistics of the tensor with these channels at zero."""
    if not channels.size:
        return statistics

    def cleared(values: np.ndarray) -> np.ndarray:
        copy = values.copy()
        copy[..., channels] = 0
        return copy

    moment = statistics.moment
    if moment is not None:
        moment = cleared(moment)
        moment[channels] = 0
    return replace(
        statistics,
        low=cleared(statistics.low),
        high=cleared(statistics.high),
        mean=cleared(statistics.mean),
        square=cleared(statistics.square),
        moment=moment,
        sample=None if statistics.sample is None else cleared(statistics.sample),
    )


def without_rows(matrix: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Return a weight [inputs, outputs] with the rows of these channels at zero."""
    if not channels.size:
        return matrix
    rest = matrix.copy()
    rest[channels] = 0
    return rest


def multiply_outliers(graph: ir.Graph, layers: Sequence[Linear], channels: np.ndarray) -> None:
    """Add x[S] W[S] to what each layer computes; its own weight is still the whole, and is to lose the rows S.

    Gather(x, S) → MatMul(·, W[S]) → Add(layer, ·), with one Gather for all layers that read the tensor.

    Args:
        graph: rewritten in place.
        layers: they read one tensor, and have float weights.
        channels: S, int64.
    """
    first = layers[0]
    indices = add_initializer(graph, f"{first.name}.outlier_channels", channels)
    gathered = insert_before(
        graph,
        first.node,
        "Gather",
        [first.activation, indices],
        name=f"{first.name}.input_outliers",
        attributes={"axis": -1},
    )
    for layer in layers:
        name = layer.name
        weight = add_initializer(
            graph, f"{name}.outlier_weight", np.ascontiguousarray(layer.matrix()[channels])
        )
        product = insert_before(
            graph, layer.node, "MatMul", [gathered.outputs[0], weight], name=f"{name}.outliers"
        )
        together, alone = f"{name}.with_outliers", f"{name}.without_outliers"
        add_behind(graph, layer.node, product.outputs[0], name=together, alone=alone)


def _smoothed(choice: Choice) -> bool:
    return choice.has("smooth_quant")


def _width(low: np.ndarray, high: np.ndarray) -> float:
    """Return the width of the range that holds every value, and zero."""
    return float(high.max(initial=0)) - float(low.min(initial=0))


def _share(amounts: np.ndarray, kept: np.ndarray) -> float:
    """Return the share of some of the amounts, none of them negative, in all; 0 when there is nothing."""
    total = float(amounts.sum())
    return float(amounts[kept].sum()) / total if total else 0.0


def _importance(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return |W_c|² over all outputs of all layers, float64 [channels]."""
    total: np.ndarray = np.sum(
        [np.square(matrix, dtype=np.float64).sum(axis=1) for matrix in matrices], axis=0
    )
    return total
