"""What quantized layers read: a tensor as its treatments leave it, rounded to a grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from quantkit.quantization.affine import affine_uint8
from quantkit.quantization.choice import Choice, Decision, View
from quantkit.quantization.grids import QuantizedWeight
from quantkit.quantization.observe.range import Range
from quantkit.quantization.observe.statistics import Statistics


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a group of layers reads its tensor.

    Attributes:
        whole: statistics of the tensor.
        decisions: what is done to it, in order.
    """

    whole: Statistics
    decisions: tuple[Decision, ...] = ()

    def values(self, tensor: np.ndarray) -> np.ndarray:
        """Return values [..., channels] of the tensor as they are rounded."""
        for decision in self.decisions:
            tensor = decision.values(tensor)
        return tensor

    def matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Return a weight of the unquantized model as it is rounded."""
        for decision in self.decisions:
            matrix = decision.matrix(matrix)
        return matrix

    def rest(self, matrix: np.ndarray) -> np.ndarray:
        """Return a weight of the rewritten graph as it is rounded: less the rows that are computed apart."""
        for decision in self.decisions:
            matrix = decision.matrix(matrix) if decision.apart.size else matrix
        return matrix

    def product(self, tensor: np.ndarray, matrix: np.ndarray) -> np.ndarray | None:
        """Return what is computed in float beside the integers, given a weight of the unquantized model."""
        if not any(decision.apart.size for decision in self.decisions):
            return None
        total = None
        for decision in self.decisions:
            found = decision.product(tensor, matrix)
            total = found if total is None else total if found is None else total + found
            tensor, matrix = decision.values(tensor), decision.matrix(matrix)
        return total

    def parameters(self) -> list[np.ndarray]:
        """Return the numbers that rewriting puts into the graph."""
        return [array for decision in self.decisions for array in decision.parameters()]

    def extremes(self) -> Range:
        """Return smallest and largest value of what is rounded."""
        return Range.of(self.values(self.whole.low), self.values(self.whole.high))

    def inputs(self, choice: Choice, bounds: Range | None = None) -> "Inputs":
        """Return the input as it is rounded within these bounds; by default, those of its extremes."""
        if bounds is None:
            bounds = self.extremes().around_zero() if choice.range.symmetric else self.extremes()
        # Moments are made when they are needed: kept for every layer, they would take gigabytes.
        seen = self.whole if choice.rounding == "gptq" else replace(self.whole, moment=None)
        for decision in self.decisions:
            seen = decision.statistics(seen)
        return Inputs(seen=seen, bounds=bounds, fixed=choice.scheme == "static")


def read(whole: Statistics, matrices: Sequence[np.ndarray], choice: Choice) -> Reading:
    """Return how layers read a tensor by a choice: each treatment decides on what those before leave.

    Args:
        whole: statistics of the tensor.
        matrices: the weights that read it, [channels, outputs] each.
        choice: settled.
    """
    view = View(seen=whole, matrices=matrices, apart=np.zeros(0, np.int64))
    decisions = []
    for treatment in choice.treatments:
        decision = treatment.decide(view, choice)
        if decision is None:
            continue
        decisions.append(decision)
        if treatment is not choice.treatments[-1]:
            view = View(
                seen=decision.statistics(view.seen),
                matrices=[decision.matrix(matrix) for matrix in view.matrices],
                apart=np.concatenate([view.apart, decision.apart]),
            )
    return Reading(whole=whole, decisions=tuple(decisions))


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The input of a group of layers.

    Attributes:
        seen: statistics of the tensor as its treatments leave it; with its moment for GPTQ.
        bounds: its range. A dynamic range is at most that of everything that was seen.
        fixed: the range is that of every batch (static), so values outside of it are clipped the same everywhere.
    """

    seen: Statistics
    bounds: Range
    fixed: bool

    def moment(self) -> np.ndarray | None:
        """Return the mean of x xᵀ; rounding is noise of step² / 12 that is not correlated with anything."""
        if self.seen.moment is None:
            return None
        step, _ = affine_uint8(self.bounds.low, self.bounds.high)
        moment: np.ndarray = self.seen.moment.copy()
        moment[np.diag_indices_from(moment)] += np.float32(step**2 / 12)
        return moment

    def shift(self, matrix: np.ndarray, weight: QuantizedWeight) -> np.ndarray:
        """Return the mean of x W - x̂ Ŵ over the calibration data, float32 [outputs]."""
        # Differences first, so that float32 loses nothing.
        rounded = weight.dequantize()
        shift: np.ndarray = self.seen.mean.astype(np.float32) @ (matrix - rounded)
        if self.fixed and self.seen.sample is not None:
            moved = (self.rounded(self.seen.sample) - self.seen.sample).mean(axis=0, dtype=np.float64)
            shift = shift - moved.astype(np.float32) @ rounded
        return shift

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Return values of the treated tensor, float32, at the nearest level of the range."""
        return rounded_to(values, self.bounds.low, self.bounds.high)


def rounded_to(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return `values` at the nearest of the 256 levels of a range, clipped to it, float32."""
    step, zero = affine_uint8(low, high)
    levels = np.clip(np.rint(values / np.float32(step)) + np.float32(zero), 0, 255)
    result: np.ndarray = (levels - np.float32(zero)) * np.float32(step)
    return result
