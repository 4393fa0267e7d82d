"""What the rewrites of several schemes share: a layer as a plain product, and the integer product in its place."""

import numpy as np
import onnx_ir as ir

from quantkit.graph.constants import add_initializer
from quantkit.graph.edits import insert_before, put_in_place
from quantkit.graph.linear import Linear


def gemm_to_matmul(graph: ir.Graph, layer: Linear) -> Linear:
    """Turn a Gemm layer into MatMul + Add, which the integer kernels understand; a MatMul is returned as it is.

    Pooled heads come as Gemm. The MatMul keeps the layer's name.
    """
    if layer.node.op_type != "Gemm":
        return layer
    gemm, name = layer.node, layer.name
    weight = add_initializer(graph, f"{name}.weight_in_out", np.ascontiguousarray(layer.matrix()))
    product = ir.node("MatMul", [layer.activation, weight], name=name)
    product.outputs[0].name = f"{name}.matmul_output"
    graph.insert_before(gemm, product)
    result = product.outputs[0]
    bias = gemm.inputs[2] if len(gemm.inputs) > 2 else None
    if bias is not None:
        result = insert_before(graph, gemm, "Add", [result, bias], name=f"{name}.bias_add").outputs[0]
    put_in_place(graph, gemm, result)
    return Linear(node=product, transposed=False)


def use_integer_product(
    graph: ir.Graph,
    matmul: ir.Node,
    *,
    activation: tuple[ir.Value, ir.Value],
    weight: tuple[ir.Value, ir.Value],
    scale: ir.Value,
) -> None:
    """Put MatMulInteger → Cast → Mul in the place of a float MatMul; MatMulInteger takes over its name.

    Args:
        graph: the graph that is rewritten.
        matmul: the float product.
        activation: uint8 values and zero point.
        weight: int8 values [inputs, outputs] and zero points.
        scale: activation scale times weight scales.
    """
    name = matmul.name or ""
    inputs = [activation[0], weight[0], activation[1], weight[1]]
    product = insert_before(graph, matmul, "MatMulInteger", inputs, name=name)
    cast = insert_before(
        graph,
        matmul,
        "Cast",
        [product.outputs[0]],
        name=f"{name}.cast",
        attributes={"to": int(ir.DataType.FLOAT)},
    )
    result = insert_before(graph, matmul, "Mul", [cast.outputs[0], scale], name=f"{name}.rescale").outputs[0]
    put_in_place(graph, matmul, result)
