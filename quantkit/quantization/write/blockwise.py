"""Block-wise INT8: a weight scale for every block of inputs, activations rounded block by block at run time.

x → com.microsoft MatMulNBits(weights [outputs, blocks, block size] uint8, scales [outputs, blocks]), 8 bits,
accuracy_level 4: ONNX Runtime rounds each row of activations in the same blocks and multiplies integers. No calibration
is needed; it is the most exact of the schemes, and the slowest.

Weights are symmetric: -127..127 times their scale, stored around 128, which is the operator's zero point when none is
given. The last block is filled up with zeros where the inputs are no multiple of the block size.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from quantkit.errors import RecipeError
from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import put_in_place
from quantkit.graph.linear import Linear
from quantkit.quantization.affine import quantize_matrix, require_finite
from quantkit.quantization.grids import UINT8, QuantizedWeight
from quantkit.quantization.write.rewrite import gemm_to_matmul

BLOCK_SIZES = (16, 32, 64, 128, 256)
_DOMAIN = "com.microsoft"


def quantize_blockwise(model: ir.Model, layers: Sequence[Linear], block_size: int) -> None:
    """Rewrite `layers` in place; each MatMulNBits has its layer's name.

    Args:
        model: the fused FP32 model.
        layers: the layers to quantize (`quantkit.graph.linear.linear_layers` of this model).
        block_size: inputs that share a scale, one of `BLOCK_SIZES`.

    Raises:
        RecipeError: the block size is none of the operator's.
        QuantizationError: a weight is NaN or infinite.
    """
    if block_size not in BLOCK_SIZES:
        sizes = ", ".join(str(size) for size in BLOCK_SIZES)
        raise RecipeError(f"block_size {block_size}: block-wise quantization has blocks of {sizes}")
    for layer in layers:
        weight = quantize_blocks(layer.matrix(), block_size, name=layer.name)
        inputs, outputs = layer.shape
        matmul = gemm_to_matmul(model.graph, layer).node
        values = add_initializer(model.graph, f"{layer.name}.weight_blocks", weight.values)
        scales = add_initializer(model.graph, f"{layer.name}.weight_scale", weight.scales)
        attributes = {
            "K": inputs,
            "N": outputs,
            "bits": 8,
            "block_size": block_size,
            "accuracy_level": 4,
        }
        product = ir.node(
            "MatMulNBits",
            [matmul.inputs[0], values, scales],
            attributes=attributes,
            domain=_DOMAIN,
            name=layer.name,
        )
        product.outputs[0].name = f"{layer.name}_output"
        model.graph.insert_before(matmul, product)
        put_in_place(model.graph, matmul, product.outputs[0])
    model.opset_imports.setdefault(_DOMAIN, 1)


def quantize_blocks(matrix: np.ndarray, block_size: int, *, name: str) -> QuantizedWeight:
    """Quantize a weight [inputs, outputs]: uint8 [outputs, blocks, block size], float32 scales [outputs, blocks].

    Raises:
        QuantizationError: a weight is NaN or infinite.
    """
    require_finite(matrix, name)
    inputs, outputs = matrix.shape
    blocks = -(-inputs // block_size)
    padded = np.zeros((outputs, blocks * block_size), np.float32)
    padded[:, :inputs] = matrix.T
    # Blocks as the columns of one matrix, so that a scale per block is a scale per channel.
    columns = padded.reshape(outputs * blocks, block_size).T
    scales = UINT8.scales(columns)
    rounded = quantize_matrix(columns, scales, UINT8)
    return QuantizedWeight(
        values=np.ascontiguousarray(rounded.values.T).reshape(outputs, blocks, block_size),
        scales=scales.reshape(outputs, blocks),
        zero_point=rounded.zero_point,
    )
