"""What quantized layers read: a tensor less its outliers, or with copies of them, smoothed and rounded to a grid."""

from dataclasses import dataclass

import numpy as np

from quantkit.graph.linear import Linear
from quantkit.quantization.affine import QuantizedWeight, affine_uint8
from quantkit.quantization.observe.calibration import Range
from quantkit.quantization.observe.statistics import Statistics
from quantkit.quantization.treatments.outliers import without_channels
from quantkit.quantization.treatments.split import Split


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a group of layers reads its tensor.

    Attributes:
        whole: statistics of the tensor.
        outliers: channels that are multiplied in float, int64 in ascending order.
        factors: smoothing factors, float32 [channels]; None without smoothing.
        split: which channels are read several times; None when all are read once.
    """

    whole: Statistics
    outliers: np.ndarray
    factors: np.ndarray | None
    split: Split | None = None

    def values(self, tensor: np.ndarray) -> np.ndarray:
        """Return values [..., channels] of the tensor with the copies of split channels."""
        return tensor if self.split is None else self.split.values(tensor)

    def matrix(self, layer: Linear) -> np.ndarray:
        """Return the weight of a layer of the unquantized model, with a row for every copy."""
        return layer.matrix() if self.split is None else self.split.matrix(layer.matrix())

    def extremes(self) -> Range:
        """Return smallest and largest value of the smoothed tensor, outliers apart."""
        low, high = self.values(self.whole.low).copy(), self.values(self.whole.high).copy()
        low[self.outliers] = high[self.outliers] = 0
        if self.factors is not None:
            low, high = low / self.factors, high / self.factors
        return Range.of(low, high)

    def inputs(self, bounds: Range, *, fixed: bool) -> "Inputs":
        """Return the input as it is rounded within these bounds."""
        # Wide moments are made when they are needed: kept for every layer, they would take gigabytes.
        whole = self.whole if self.split is None else self.split.statistics(self.whole)
        factors = np.ones(len(whole.low), np.float32) if self.factors is None else self.factors
        seen = without_channels(whole, self.outliers)
        return Inputs(seen=seen, factors=factors, bounds=bounds, fixed=fixed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The input of a group of layers.

    Attributes:
        seen: statistics of the tensor before smoothing, with outlier channels at zero.
        factors: smoothing factors, float32 [channels]; ones without smoothing.
        bounds: the range of the smoothed tensor. A dynamic range is at most that of everything that was seen.
        fixed: the range is that of every batch (static), so values outside of it are clipped the same everywhere.
    """

    seen: Statistics
    factors: np.ndarray
    bounds: Range
    fixed: bool

    def moment(self) -> np.ndarray | None:
        """Return the mean of x xᵀ; rounding is noise of step² / 12 that is not correlated with anything."""
        if self.seen.moment is None:
            return None
        step, _ = affine_uint8(self.bounds.low, self.bounds.high)
        moment: np.ndarray = self.seen.moment / self.factors / self.factors[:, None]
        moment[np.diag_indices_from(moment)] += np.float32(step**2 / 12)
        return moment

    def shift(self, matrix: np.ndarray, weight: QuantizedWeight) -> np.ndarray:
        """Return the mean of x W - x̂ Ŵ over the calibration data, float32 [outputs]."""
        # Differences first, so that float32 loses nothing.
        rounded = weight.dequantize()
        shift: np.ndarray = (self.seen.mean / self.factors).astype(np.float32) @ (matrix - rounded)
        if self.fixed and self.seen.sample is not None:
            smoothed = self.seen.sample / self.factors
            moved = (self.rounded(smoothed) - smoothed).mean(axis=0, dtype=np.float64)
            shift = shift - moved.astype(np.float32) @ rounded
        return shift

    def rounded(self, smoothed: np.ndarray) -> np.ndarray:
        """Return smoothed values, float32, at the nearest level of the range."""
        return rounded_to(smoothed, self.bounds.low, self.bounds.high)


def rounded_to(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return `values` at the nearest of the 256 levels of a range, clipped to it, float32."""
    step, zero = affine_uint8(low, high)
    levels = np.clip(np.rint(values / np.float32(step)) + np.float32(zero), 0, 255)
    result: np.ndarray = (levels - np.float32(zero)) * np.float32(step)
    return result
