"""MatMul of two DequantizeLinear → MatMulIntegerToFloat."""

import onnx_ir as ir

from quantkit.errors import QuantizationError
from quantkit.graph import CONTRIB
from quantkit.graph.pattern import constant, is_op, label, operand, replace

_LAST_AXIS = (1, -1)  # of a weight [inputs, outputs]


def integer_products(model: ir.Model) -> int:
    """Write static linear layers as the kernel that onnxruntime makes of them anyway; return how many.

    MatMul(DequantizeLinear(x), DequantizeLinear(W)) → com.microsoft.MatMulIntegerToFloat(x, W, scale of x, scales of W,
    zero point of x, zero points of W), bit for bit the same numbers: it is the rewrite that onnxruntime does when it
    opens a model. Written out, the node can take the layer's bias too (`fold_biases`), which onnxruntime's own rewrite
    leaves as an Add. The node keeps the layer's name.

    1. x is quantized with one scale and W, which is constant, with one scale or one per output.
    2. Not matched, and left as it is: a product of two computed tensors, such as queries and keys.

    Raises:
        QuantizationError: a weight has scales per input or per block, or x has several: no kernel takes that, and the
            layer would be computed in float.
    """
    graph = model.graph
    found = 0
    for node in list(graph):
        if not is_op(node, "MatMul"):
            continue
        x, weight = _dequantized(node, 0), _dequantized(node, 1)
        if x is None or weight is None or constant(weight.inputs[0]) is None:
            continue
        if not _one_scale(x) or not _per_output(weight):
            raise QuantizationError(
                f"{label(node)}: its scales fit no integer kernel; one for the activation and one per output of the "
                "weight do (--layout portable leaves it as it is)"
            )
        inputs = [*_parts(x, weight, 0), *_parts(x, weight, 1), *_parts(x, weight, 2)]
        while inputs[-1] is None:
            inputs.pop()
        product = ir.node("MatMulIntegerToFloat", inputs, domain=CONTRIB, name=node.name)
        graph.insert_before(node, product)
        node.name = f"{label(node)}/dequantized"
        replace(graph, node.outputs[0], product.outputs[0])
        found += 1
    return found


def _dequantized(node: ir.Node, index: int) -> ir.Node | None:
    producer = operand(node, index).producer()
    return producer if producer is not None and is_op(producer, "DequantizeLinear") else None


def _parts(x: ir.Node, weight: ir.Node, index: int) -> list[ir.Value | None]:
    """Return one input of both: 0 values, 1 scale, 2 zero point."""
    return [node.inputs[index] if index < len(node.inputs) else None for node in (x, weight)]


def _one_scale(x: ir.Node) -> bool:
    scale = constant(x.inputs[1])
    return scale is not None and scale.size == 1


def _per_output(weight: ir.Node) -> bool:
    values, scale = constant(weight.inputs[0]), constant(weight.inputs[1])
    if values is None or scale is None or len(values.shape) != 2:
        return False
    if scale.size == 1:
        return True
    axis = weight.attributes["axis"].as_int() if "axis" in weight.attributes else 1
    blocks = "block_size" in weight.attributes and weight.attributes["block_size"].as_int() != 0
    return len(scale.shape) == 1 and axis in _LAST_AXIS and not blocks
