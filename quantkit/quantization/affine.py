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


def quantize_rows(table: np.ndarray, *, name: str) -> QuantizedWeight:
    """Quantize an embedding table [rows, width] to symmetric int8 with one scale per row, float32 [rows].

    Raises:
        QuantizationError: an entry is NaN or infinite.
    """
    require_finite(table, name)
    scales = INT8.scales(table.T)
    by_column = quantize_matrix(table, scales[:, None], INT8)
    return QuantizedWeight(values=by_column.values, scales=scales)


def require_finite(array: np.ndarray, name: str) -> None:
    """Raise `QuantizationError` when `array` holds NaN or infinity."""
    if not np.isfinite(array).all():
        raise QuantizationError(
            f"{name}: holds NaN or infinite weights; the checkpoint is broken, train or export it again"
        )
