"""The affine map between floats and 8-bit integers: q = round(x / scale) + zero_point (round half to even)."""

from dataclasses import dataclass

import numpy as np

from quantkit.errors import QuantizationError

# Weights are symmetric: -127..127 with 8 bits. With reduce_range 7 bits: on x86 without VNNI the u8·s8 products of
# two neighbours are added in 16 bits (vpmaddubsw), and 2·255·63 = 32130 still fits where 2·255·127 saturates.
FULL_RANGE = 127
REDUCED_RANGE = 63


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizedWeight:
    """int8 values [rows, columns] with float32 scales: a scalar [], or one per column or per row."""

    values: np.ndarray
    scales: np.ndarray


def affine_uint8(low: float, high: float) -> tuple[float, int]:
    """Return (scale, zero_point) of the uint8 grid over [low, high], widened so that 0.0 is on the grid.

    scale = (high - low) / 255 and zero_point = round(-low / scale), clipped to 0..255: ONNX DynamicQuantizeLinear.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255.0))
    if scale < float(np.finfo(np.float32).tiny):
        return 1.0, 0
    return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def quantize_weight(
    matrix: np.ndarray, *, per_channel: bool, reduce_range: bool, name: str
) -> QuantizedWeight:
    """Quantize a weight [inputs, outputs] to symmetric int8, with a scale per output channel or one for all.

    Raises:
        QuantizationError: a weight is NaN or infinite.
    """
    require_finite(matrix, name)
    limit = REDUCED_RANGE if reduce_range else FULL_RANGE
    largest = np.abs(matrix).max(axis=0) if per_channel else np.abs(matrix).max()
    scales = _scales(largest, limit)
    values = np.clip(np.rint(matrix / scales), -limit, limit).astype(np.int8)
    return QuantizedWeight(values=values, scales=scales)


def quantize_rows(table: np.ndarray, *, name: str) -> QuantizedWeight:
    """Quantize an embedding table [rows, width] to symmetric int8 with one scale per row, float32 [rows].

    Raises:
        QuantizationError: an entry is NaN or infinite.
    """
    require_finite(table, name)
    scales = _scales(np.abs(table).max(axis=1), FULL_RANGE)
    values = np.clip(np.rint(table / scales[:, None]), -FULL_RANGE, FULL_RANGE).astype(np.int8)
    return QuantizedWeight(values=values, scales=scales)


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
