"""The affine map between floats and 8-bit integers: q = round(x / scale) + zero_point (round half to even)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from quantkit.errors import QuantizationError

# Weights are symmetric: -127..127 with 8 bits. Activations are uint8. On x86 without VNNI the u8·s8 products of two
# neighbours are added in 16 bits (vpmaddubsw), where 2·255·127 saturates. Two ways around it: 7 bits (reduce_range),
# as 2·255·63 = 32130 still fits, and uint8 weights around 128 (u8u8), for which other instructions are used.
WeightType = Literal["int8", "int7", "uint8"]
LIMITS: dict[WeightType, int] = {"int8": 127, "int7": 63, "uint8": 127}


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizedWeight:
    """int8 or uint8 values [rows, columns] with float32 scales, a scalar [] or one per column or per row.

    A weight is (value - zero_point) · scale; the zero point is 0 for int8 and 128 for uint8.
    """

    values: np.ndarray
    scales: np.ndarray
    zero_point: int = 0

    def zero_points(self) -> np.ndarray:
        """Return the zero point as operators take it: of the type of the values, shaped like the scales."""
        return np.full(self.scales.shape, self.zero_point, self.values.dtype)

    def dequantize(self) -> np.ndarray:
        """Return the float32 weights that the values stand for; scales are a scalar or one per column."""
        floats: np.ndarray = (self.values.astype(np.float32) - self.zero_point) * self.scales
        return floats


def affine_uint8(low: float, high: float) -> tuple[float, int]:
    """Return (scale, zero_point) of the uint8 grid over [low, high], widened so that 0.0 is on the grid.

    scale = (high - low) / 255 and zero_point = round(-low / scale), clipped to 0..255: ONNX DynamicQuantizeLinear.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255.0))
    if scale < float(np.finfo(np.float32).tiny):
        return 1.0, 0
    return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def quantize_matrix(matrix: np.ndarray, scales: np.ndarray, weight_type: WeightType) -> QuantizedWeight:
    """Round every weight of a finite matrix [inputs, outputs] to the nearest level of its scale (half to even)."""
    limit = LIMITS[weight_type]
    return encode(np.clip(np.rint(matrix / scales), -limit, limit), scales, weight_type)


def encode(levels: np.ndarray, scales: np.ndarray, weight_type: WeightType) -> QuantizedWeight:
    """Store signed levels, whole numbers from -limit to limit, in the values of a weight type."""
    if weight_type == "uint8":
        return QuantizedWeight(values=(levels + 128).astype(np.uint8), scales=scales, zero_point=128)
    return QuantizedWeight(values=levels.astype(np.int8), scales=scales)


def weight_scales(matrix: np.ndarray, *, per_channel: bool, weight_type: WeightType) -> np.ndarray:
    """Return the scales with which the largest magnitude is the last level: float32 [outputs], or [] for all."""
    largest = np.abs(matrix).max(axis=0) if per_channel else np.abs(matrix).max()
    return _scales(largest, LIMITS[weight_type])


def quantize_rows(table: np.ndarray, *, name: str) -> QuantizedWeight:
    """Quantize an embedding table [rows, width] to symmetric int8 with one scale per row, float32 [rows].

    Raises:
        QuantizationError: an entry is NaN or infinite.
    """
    require_finite(table, name)
    scales = _scales(np.abs(table).max(axis=1), LIMITS["int8"])
    by_column = quantize_matrix(table, scales[:, None], "int8")
    return QuantizedWeight(values=by_column.values, scales=scales)


def _scales(largest: np.ndarray, limit: int) -> np.ndarray:
    """Return largest / limit as float32, and 1 where all weights are 0."""
    scales = (largest / limit).astype(np.float32)
    return np.where(scales < np.finfo(np.float32).tiny, np.float32(1.0), scales).astype(np.float32)


def require_finite(array: np.ndarray, name: str) -> None:
    """Raise `QuantizationError` when `array` holds NaN or infinity."""
    if not np.isfinite(array).all():
        raise QuantizationError(
            f"{name}: holds NaN or infinite weights; the checkpoint is broken, train or export it again"
        )
