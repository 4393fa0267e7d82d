"""Biases into the integer products that make what they are added to."""

import numpy as np
import onnx_ir as ir

from quantkit.graph import CONTRIB
from quantkit.graph.constants import add_initializer, free_name
from quantkit.graph.pattern import constant, is_op, replace, vector_length

_BIAS = 6  # input of MatMulIntegerToFloat
_WEIGHT = 1
_ATTENTION_BIAS = 3


def fold_biases(model: ir.Model) -> int:
    """Give MatMulIntegerToFloat nodes the biases of their layers; return how many got one.

    The kernel adds the bias while it turns integers into floats, so it costs no pass over memory of its own. The sum is
    the same float32 sum. Of a product that one node reads, and which is no graph output:

    1. Add(product, constant [outputs]), on either side: the Add goes.
    2. com.microsoft.FastGelu(product, bias): it is left without.
    3. com.microsoft.MultiHeadAttention(query, key, value, bias), when all three are products: each gets its part.

    Where something else that is computed is added to the product first, as outlier channels are, it is the same sum.
    """
    graph = model.graph
    found = 0
    for node in list(graph):
        if is_op(node, "Add"):
            found += _fold_add(graph, node)
        elif node.domain == CONTRIB and node.op_type == "FastGelu":
            found += move_gelu_bias(node)
        elif node.domain == CONTRIB and node.op_type == "MultiHeadAttention":
            found += _fold_attention(graph, node)
    return found


def _product(value: ir.Value | None) -> ir.Node | None:
    """Return the product without bias that makes `value`, or a term of it, for one reader alone, else None."""
    node = value.producer() if value is not None else None
    if value is not None and node is not None and is_op(node, "Add"):
        alone = len(list(value.uses())) == 1 and not value.is_graph_output()
        found = [product for term in node.inputs if (product := _product(term)) is not None]
        return found[0] if alone and len(found) == 1 else None
    if value is None or node is None or node.op_type != "MatMulIntegerToFloat" or node.domain != CONTRIB:
        return None
    alone = len(list(value.uses())) == 1 and not value.is_graph_output()
    return node if alone and (len(node.inputs) <= _BIAS or node.inputs[_BIAS] is None) else None


def _outputs(product: ir.Node) -> int | None:
    weight = constant(product.inputs[_WEIGHT])
    return None if weight is None else int(weight.shape[1])  # type: ignore[arg-type]


def _give(product: ir.Node, bias: ir.Value) -> None:
    product.resize_inputs(max(len(product.inputs), _BIAS + 1))
    product.replace_input_with(_BIAS, bias)


def _fold_add(graph: ir.Graph, add: ir.Node) -> int:
    for value, bias in (add.inputs, reversed(add.inputs)):
        product = _product(value)
        if product is None or bias is None or vector_length(bias) != _outputs(product):
            continue
        _give(product, bias)
        assert value is not None
        replace(graph, add.outputs[0], value)
        return 1
    return 0


def move_gelu_bias(gelu: ir.Node) -> int:
    """Give the bias of BiasGelu or FastGelu to the product it is added to; return 1, or 0 when it stays."""
    product = _product(gelu.inputs[0])
    bias = gelu.inputs[1] if len(gelu.inputs) > 1 else None
    if product is None or bias is None or vector_length(bias) != _outputs(product):
        return 0
    _give(product, bias)
    gelu.replace_input_with(1, None)
    return 1


def _fold_attention(graph: ir.Graph, attention: ir.Node) -> int:
    products = [_product(value) for value in attention.inputs[:_ATTENTION_BIAS]]
    whole = constant(attention.inputs[_ATTENTION_BIAS]) if len(attention.inputs) > _ATTENTION_BIAS else None
    if whole is None or len(products) != _ATTENTION_BIAS:
        return 0
    widths = [_outputs(product) if product is not None else None for product in products]
    if None in widths or sum(width or 0 for width in widths) != whole.size:
        return 0
    entries: np.ndarray = whole.numpy()
    begin = 0
    for product, width in zip(products, widths, strict=True):
        assert product is not None
        assert width is not None
        part = entries[begin : begin + width]
        begin += width
        _give(product, add_initializer(graph, free_name(graph, f"{product.name}.bias"), part))
    attention.replace_input_with(_ATTENTION_BIAS, None)
    return len(products)
