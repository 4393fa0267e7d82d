"""What a rounding is asked: a weight, what its inputs are like, and the grid it has to end on."""

from dataclasses import dataclass

import numpy as np

from quantkit.quantization.affine import WeightType


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One weight to quantize.

    Attributes:
        name: the layer's name, for messages.
        matrix: the weight, float32 [inputs, outputs].
        moment: second moments of the layer's inputs [inputs, inputs], the mean of x xᵀ over tokens, for inputs as the
            layer will read them (smoothed and quantized); None when nothing was calibrated.
        per_channel: one scale per output channel rather than one for all.
        weight_type: int8; int7, the levels of reduce_range; or uint8 around a zero point of 128.
    """

    name: str
    matrix: np.ndarray
    moment: np.ndarray | None = None
    per_channel: bool = True
    weight_type: WeightType = "int8"
