"""The affine map between floats and 8-bit integers: q = round(x / scale) + zero_point (round half to even).

Activations are uint8; weights are symmetric, on one of the grids (`quantkit.quantization.grids`).
"""

import numpy as np

from quantkit.errors import QuantizationError
from quantkit.quantization.grids import INT8, Grid, QuantizedWeight


def affine_uint8(low: float, high: float) -> tuple[float, int]:
    """Return (scale, zero_point) of the uint8 grid over [low, high], widened so that 0.0 is on the grid.

    scale = (high - low) / 255 and zero_point = round(-low / scale), clipped to 0..255: ONNX DynamicQuantizeLinear.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255.0))
    if scale < float(np.finfo(np.float32).tiny):
        return 1.0, 0
    return scale, int(np.clip(np.rint(-low / scale), 0, 255))


def quantize_matrix(matrix: np.ndarray, scales: np.ndarray, grid: Grid) -> QuantizedWeight:
    """Round every weight of a finite matrix [inputs, outputs] to the nearest level of its scale (half to even)."""
    return grid.encode(grid.nearest(matrix / scales), scales)


def weight_scales(matrix: np.ndarray, *, per_channel: bool, grid: Grid) -> np.ndarray:
    """Return the scales with which the largest magnitude is the last level: float32 [outputs], or [] for all."""
    largest = np.abs(matrix).max(axis=0) if per_channel else np.abs(matrix).max()
    return _scales(largest, grid.limit)


def quantize_rows(table: np.ndarray, *, name: str) -> QuantizedWeight:
    """Quantize an embedding table [rows, width] to symmetric int8 with one scale per row, float32 [rows].

    Raises:
        QuantizationError: an entry is NaN or infinite.
    """
    require_finite(table, name)
    scales = _scales(np.abs(table).max(axis=1), INT8.limit)
    by_column = quantize_matrix(table, scales[:, None], INT8)
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
